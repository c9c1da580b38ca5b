"""The pages, their build, and what only pages need: chapter parameters, figures, the search
page.
"""

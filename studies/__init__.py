"""The research behind the chapters: lists of runs, their stored rows, and what only one chapter
needs.
"""

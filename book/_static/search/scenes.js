/* `make book` puts the scenes, their ranks and their sounds here; this file says only that they are not there. */

/* `make book` puts the promised sound and the result here; this file says only that they are not there. */

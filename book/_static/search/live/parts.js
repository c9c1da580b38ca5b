/* `make book` puts the encoder's parts here and lists them; this file says only that they are not there. */

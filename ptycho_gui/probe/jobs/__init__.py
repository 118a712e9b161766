"""What follows a beam, in a worker."""

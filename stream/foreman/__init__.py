"""The foreman: keeps the jobs. One writer for each, and the rounds of devices that move them on."""

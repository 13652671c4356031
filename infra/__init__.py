"""One machine or many: the embedded broker and store, the supervisor, migrations, the command line."""

"""Commands, one module per idea; a module is imported when one of its commands is used."""

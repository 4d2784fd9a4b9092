"""The controller: decides once a second how many instances each function should have."""

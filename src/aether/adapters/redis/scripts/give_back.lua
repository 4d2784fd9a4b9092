-- KEYS: taken. ARGV: claim id. 1, or 0 if it is the owner's no more.
return give_back(KEYS[1], ARGV[1])

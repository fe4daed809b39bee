"""Objects that exist already: read from listings and inventories, compared with the index, repaired in it."""

-- The program of busted, for the interpreter that runs this file (what `busted --lua=lua5.4` ends in).
require "busted.runner" { standalone = false }

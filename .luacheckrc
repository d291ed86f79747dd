std = "lua54"
max_line_length = 120
exclude_files = { "build*/", "scripts/moonwatch/meta/" }
files["spec/**/*_spec.lua"] = { std = "+busted" }
files["scripts/demo/*.lua"] = { read_globals = { "mw" } }

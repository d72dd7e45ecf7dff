# Writes INPUT as a C array NAME[] (with a zero byte at the end) into OUTPUT.
file(READ ${INPUT} hex HEX)
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," hex "${hex}")
string(REGEX REPLACE "((0x[0-9a-f][0-9a-f],){20})" "\\1\n" hex "${hex}")
file(WRITE ${OUTPUT} "/* generated from a Lua source */\nstatic const char ${NAME}[] = {\n${hex}0};\n")

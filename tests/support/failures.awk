# Shows what failed in the output of a test suite, the last `lines` lines of each failure: of ctest with
# --output-on-failure, and of scripts that print "FAILED name" and indent what follows.

function show(    i) {
    if (title != "") {
        print title
        for (i = count > lines ? count - lines : 0; i < count; i++) {
            print "    " text[i]
        }
    }
    title = ""
    count = 0
}

/^ *[0-9]+\/[0-9]+ Test +#[0-9]+: / {
    show()
    script = 0
    if (/\*\*\*/) {
        title = $0
        sub(/^ *[0-9]+\/[0-9]+ Test +#[0-9]+: */, "FAILED ", title)
        sub(/ \.+/, " ", title)
    }
    next
}
/^ *Start +[0-9]+: / { next }
/^[0-9]+% tests passed/ { show() }
/^FAILED / {
    show()
    script = 1
    title = $0
    next
}
script && !/^    / { show() }
title != "" {
    sub(/^    /, "")
    text[count++] = $0
}
END { show() }

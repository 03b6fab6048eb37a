"""The reference pages in docs/ whose tables come from the code: settings and command line, in English and Chinese."""

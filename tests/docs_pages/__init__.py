"""The reference pages in docs/ that are generated from code: settings and command line, in English and Chinese."""

//! Rule files to a published rule set.

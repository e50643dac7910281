//! The rules of `is`, as the reference tells them.

/// The rules of `is`, for documentation and suggestions.
pub(super) const RULES: &[(&str, &str)] = &[
    ("is.string", "text; min, max, length, pattern"),
    ("is.int", "a whole number; min, max"),
    ("is.number", "a number; min, max"),
    ("is.bool", "true or false"),
    ("is.uuid", "text that is a UUID"),
    ("is.email", "text that is an email address"),
    ("is.url", "text that is a URL"),
    ("is.date", "text such as 2026-01-31"),
    ("is.datetime", "text such as 2026-01-31T12:00:00Z"),
    ("is.enum", "one of a few words: is.enum { \"a\", \"b\" }"),
    ("is.array", "a list; items, min, max, length"),
    (
        "is.object",
        "a table with named values: is.object { name = is.string {} }; in validate, extra = false refuses members that are not named",
    ),
    ("is.map", "a table from names to values of one kind; items"),
    ("is.any", "anything; every rule takes optional, default and doc, and in validate nullable"),
    ("is.duration", "\"5s\", \"2m\" or seconds; becomes seconds"),
    ("is.size", "\"64KB\" or bytes; becomes bytes"),
    ("is.rate", "\"100/min\""),
    ("is.status", "a status code"),
    ("is.template", "text with {names}; place = \"url\", \"header\", \"json\", \"xml\" or \"plain\""),
    ("is.func", "a function"),
    ("is.step", "a step"),
    ("is.either", "one of several rules: is.either { is.string {}, is.func {} }"),
];

//! Globs: `*.example.com`, `img-?.{png,jpg}`, `v[0-9]`; `*` stands for any text, slashes too.

use globset::GlobBuilder;
use globset::GlobMatcher;

/// A compiled glob.
#[derive(Clone, Debug)]
pub struct Glob(GlobMatcher);

/// A glob that cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("glob `{glob}`: {why}")]
pub struct GlobError {
    glob: String,
    why: String,
}

impl Glob {
    /// Compiles a glob.
    pub fn new(glob: &str) -> Result<Self, GlobError> {
        let fault = |why: String| GlobError { glob: glob.chars().take(200).collect(), why };
        if glob.len() > LONGEST {
            return Err(fault(format!("longer than {LONGEST} bytes")));
        }
        let built = GlobBuilder::new(glob).literal_separator(false).backslash_escape(true).build();
        built.map(|glob| Self(glob.compile_matcher())).map_err(|error| fault(error.kind().to_string()))
    }

    /// Whether the whole text matches.
    pub fn matches(&self, text: &str) -> bool {
        self.0.is_match(text)
    }

    /// The glob as written.
    pub fn source(&self) -> &str {
        self.0.glob().glob()
    }
}

const LONGEST: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_match_whole_texts() {
        for (glob, yes, no) in [
            ("*.example.com", "a.b.example.com", "example.com"),
            ("img-?.{png,jpg}", "img-1.jpg", "img-12.jpg"),
            ("v[0-9]", "v1", "v1x"),
            ("/api/*", "/api/a/b", "/ap"),
            ("quota.*", "quota.exceeded", "xquota.exceeded"),
            ("a\\*", "a*", "ab"),
        ] {
            let glob = Glob::new(glob).expect(glob);
            assert!(glob.matches(yes) && !glob.matches(no), "{}", glob.source());
        }
    }

    #[test]
    fn a_bad_glob_is_named() {
        assert!(Glob::new("a[").is_err_and(|error| error.to_string().starts_with("glob `a[`: ")));
        assert!(Glob::new(&"*a".repeat(4000)).is_err());
    }
}

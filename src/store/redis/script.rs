//! Scripts that run in Redis, called by the digest of their text.

use std::fmt::Write as _;
use std::sync::LazyLock;

use aws_lc_rs::digest;
use redis::Cmd;

/// One script.
pub(super) struct Script {
    text: &'static str,
    digest: LazyLock<String, Box<dyn FnOnce() -> String + Send>>,
}

impl Script {
    /// The script of this text.
    pub(super) fn new(text: &'static str) -> Self {
        Self { text, digest: LazyLock::new(Box::new(move || hex(text))) }
    }

    /// The call of a script that Redis knows.
    pub(super) fn known(&self, fill: impl Fn(&mut Cmd)) -> Cmd {
        let mut command = redis::cmd("EVALSHA");
        command.arg(self.digest.as_str());
        fill(&mut command);
        command
    }

    /// The call that brings the script along.
    pub(super) fn whole(&self, fill: impl Fn(&mut Cmd)) -> Cmd {
        let mut command = redis::cmd("EVAL");
        command.arg(self.text);
        fill(&mut command);
        command
    }
}

fn hex(text: &str) -> String {
    let digest = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes());
    digest.as_ref().iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_the_one_that_redis_computes() {
        assert_eq!(hex("return 1"), "e0e1f9fabfc9d4800c877a703b823ac0578ff8db");
    }
}

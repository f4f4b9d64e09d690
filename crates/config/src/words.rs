//! The words of the config: each closed set of names as an enum that reads, prints and documents itself.
//!
//! The doc comments here are the text of the JSON Schema too, so they speak to the author of a config.

use schemars::JsonSchema;
use serde::Deserialize;
use std::fmt;
use std::str::FromStr;

/// A word that is not one of the set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown value `{word}`, expected one of {}", expected.join(", "))]
pub struct UnknownWord {
    /// What was written.
    pub word: String,
    /// What could have been.
    pub expected: Vec<&'static str>,
}

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize, JsonSchema)]
        pub enum $name { $($(#[$variant_doc])* #[serde(rename = $text)] $variant,)+ }

        impl $name {
            /// Every value, in the order of the documentation.
            pub const ALL: &'static [$name] = &[$($name::$variant),+];

            /// The word as the config writes it.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $($name::$variant => $text,)+ }
            }
        }

        impl FromStr for $name {
            type Err = UnknownWord;
            fn from_str(text: &str) -> Result<$name, UnknownWord> {
                let unknown = || UnknownWord {
                    word: text.to_owned(),
                    expected: $name::ALL.iter().map(|word| word.as_str()).collect(),
                };
                $name::ALL.iter().copied().find(|word| word.as_str() == text).ok_or_else(unknown)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

words! {
    /// Where a command runs.
    Mode {
        /// In a sandbox, as the other fields say.
        Sandbox = "sandbox",
        /// On the host, with no sandbox; limits, timeouts and redaction still hold.
        Host = "host",
    }
}

words! {
    /// What to do where the machine cannot give a full sandbox.
    Isolation {
        /// Take the strongest there is, and say in the result what it is.
        BestEffort = "best_effort",
        /// Anything short of full namespaces is an error.
        Strict = "strict",
    }
}

words! {
    /// Which files a command may see and change.
    FsMode {
        /// The host's files as the caller has them, credential stores and protected paths included.
        Inherit = "inherit",
        /// Everything read-only; private `/tmp`; credential stores hidden.
        WorkspaceReadonly = "workspace_readonly",
        /// As `workspace_readonly`, and `writable_paths` (nothing else, not even the workspace) can be written.
        WorkspaceRwScoped = "workspace_rw_scoped",
        /// The workspace looks writable; changes go to a layer of their own.
        WorkspaceOverlay = "workspace_overlay",
    }
}

words! {
    /// How much of the host a command can read.
    ReadScope {
        /// All files but the hidden ones.
        Host = "host",
        /// Only system directories, the workspace, `readable_paths` and `writable_paths` exist.
        Minimal = "minimal",
    }
}

words! {
    /// Which network a command has.
    NetworkMode {
        /// The host's.
        Inherit = "inherit",
        /// None, but a loopback of its own.
        Deny = "deny",
        /// Only the destinations of `network_allowlist`.
        Allowlist = "allowlist",
    }
}

words! {
    /// Whether the lists of the runner are asked.
    PolicyWord {
        /// Only listed shells, shell arguments and variables.
        Allowlist = "allowlist",
        /// Any shell, the caller's whole environment.
        Unsafe = "unsafe",
    }
}

words! {
    /// Whether ringfence may have itself moved into a control group of its own.
    CgroupScope {
        /// When a profile or a flag limits memory, processes or cores, and no group is delegated, a scope is asked of systemd.
        Auto = "auto",
        /// Nobody is asked.
        Never = "never",
    }
}

words! {
    /// What runs a command line.
    Executor {
        /// A shell.
        Shell = "shell",
    }
}

words! {
    /// What a rule does to the command it matches.
    EffectWord {
        /// The command may run, and no later rule is asked.
        Allow = "allow",
        /// The command may not run.
        Deny = "deny",
    }
}

words! {
    /// How a secret of several lines is masked.
    Multiline {
        /// As it is, byte for byte.
        Exact = "exact",
        /// Also with CR LF line ends.
        Crlf = "crlf",
        /// Also each line of 8 bytes or more alone.
        Lines = "lines",
    }
}

words! {
    /// What becomes of terminal control sequences (colours, cursor movements).
    Ansi {
        /// They stay.
        Keep = "keep",
        /// They are taken out.
        Strip = "strip",
    }
}

words! {
    /// What becomes of a line that is drawn over and over, as progress bars are.
    Progress {
        /// Every state of it stays.
        Keep = "keep",
        /// Only the last state stays.
        Collapse = "collapse",
    }
}

words! {
    /// Which time stands before each line.
    Timestamps {
        /// None.
        None = "none",
        /// Date and time in UTC.
        Utc = "utc",
        /// Seconds since the start.
        Elapsed = "elapsed",
    }
}

words! {
    /// A derived form of a secret that is masked too.
    Encoding {
        /// Base64, at any alignment, both alphabets.
        Base64 = "base64",
        /// Hexadecimal, both cases.
        Hex = "hex",
        /// Percent-encoding.
        Url = "url",
        /// The inside of a JSON string.
        Json = "json",
        /// Quoted for a shell.
        Shell = "shell",
    }
}

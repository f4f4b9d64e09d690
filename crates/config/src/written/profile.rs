//! `[profiles.NAME]` as written.

use crate::located::At;
use crate::words::{FsMode, Isolation, Mode, NetworkMode, ReadScope};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};
use std::borrow::Cow;
use std::fmt;

/// What a command may see, write, reach and use up. A field that is not given has the value of the profile in `inherits`.
///
/// Paths may begin with `~` and hold `$VAR` and `${VAR}`; relative ones are relative to the workspace.
#[derive(Debug, Clone, Default, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Profile")]
pub(crate) struct ProfileWritten {
    /// The profile whose values hold where this one says nothing.
    /// Default: the built-in `default`.
    #[schemars(extend("examples" = ["default"]))]
    pub(crate) inherits: Option<At<String>>,
    /// "sandbox" or "host". With "host" the inherited values of everything a sandbox enforces no longer hold.
    #[schemars(extend("default" = "sandbox"))]
    pub(crate) mode: Option<At<Mode>>,
    /// "best_effort": the strongest sandbox this machine gives; the result says what it was. "strict": anything short of full
    /// namespaces is an error.
    #[schemars(extend("default" = "best_effort"))]
    pub(crate) isolation: Option<At<Isolation>>,
    /// "inherit": the host's files as the caller has them, credential stores included. "workspace_readonly": everything
    /// read-only, a private /tmp, credential stores hidden. "workspace_rw_scoped": that, and writable_paths can be written.
    /// "workspace_overlay": the workspace looks writable; changes go to a layer of their own.
    #[schemars(extend("default" = "workspace_rw_scoped"))]
    pub(crate) fs_mode: Option<At<FsMode>>,
    /// What can be written with "workspace_rw_scoped"; nothing else, not even the workspace.
    #[schemars(extend("default" = ["."]))]
    pub(crate) writable_paths: Option<At<Vec<At<String>>>>,
    /// What can be read even where read_scope or the list of hidden files says otherwise.
    #[schemars(extend("default" = []))]
    pub(crate) readable_paths: Option<At<Vec<At<String>>>>,
    /// What is hidden, beside the built-in list of credential stores.
    #[schemars(extend("default" = []))]
    pub(crate) hidden_paths: Option<At<Vec<At<String>>>>,
    /// What stays read-only inside a writable path, beside the built-in list.
    #[schemars(extend("default" = []))]
    pub(crate) protected_paths: Option<At<Vec<At<String>>>>,
    /// "host": everything but the hidden files can be read. "minimal": only system directories, the workspace, readable_paths
    /// and writable_paths exist.
    #[schemars(extend("default" = "host"))]
    pub(crate) read_scope: Option<At<ReadScope>>,
    /// "inherit": the host's network. "deny": none but a loopback of its own. "allowlist": only network_allowlist.
    #[schemars(extend("default" = "deny"))]
    pub(crate) network_mode: Option<At<NetworkMode>>,
    /// Destinations of network_mode = "allowlist": host, *.host, address or block, each with or without :port.
    #[schemars(extend("default" = [], "examples" = [["crates.example.org:443", "*.example.com", "10.0.0.0/8:22", "[::1]:8080"]]))]
    pub(crate) network_allowlist: Option<At<Vec<At<String>>>>,
    /// Ports of the host's loopback that lead to servers of the command, with network_mode = "allowlist": "8080", or "9000:8080"
    /// for port 9000 outside and 8080 inside. Every user of the host can connect.
    #[schemars(extend("default" = [], "examples" = [["8080", "9000:8080"]]))]
    pub(crate) expose: Option<At<Vec<At<String>>>>,
    /// "private": no Unix socket of the host can be connected to. "inherit": all that the caller can. Or a list of socket paths.
    #[schemars(extend("default" = "private"))]
    pub(crate) unix_sockets: Option<At<UnixSocketsWritten>>,
    /// Most memory of all processes together, in MiB; 0: no limit. Default: three quarters of the machine's.
    #[schemars(extend("examples" = [2048]))]
    pub(crate) max_memory_mb: Option<At<u64>>,
    /// Most CPU time of all processes together, in seconds. Default: no limit.
    #[schemars(extend("examples" = [600]))]
    pub(crate) max_cpu_seconds: Option<At<u64>>,
    /// Most processes and threads; 0: no limit. Default: 4096.
    #[schemars(extend("examples" = [256]))]
    pub(crate) max_processes: Option<At<u64>>,
    /// Most open files of a process. Default: no limit.
    #[schemars(extend("examples" = [1024]))]
    pub(crate) max_open_files: Option<At<u64>>,
    /// Largest file that can be written, in MiB. Default: no limit.
    #[schemars(extend("examples" = [1024]))]
    pub(crate) max_file_size_mb: Option<At<u64>>,
    /// Cores' worth of CPU time, as in 1.5; needs a control group. Default: no limit.
    #[schemars(extend("examples" = [1.5]))]
    pub(crate) max_cpu_cores: Option<At<f64>>,
    /// Most that is read from each disk in a second, in MiB; needs a control group with the `io` controller. Default: no limit.
    #[schemars(extend("examples" = [50]))]
    pub(crate) max_io_read_mb_per_second: Option<At<u64>>,
    /// Most that is written to each disk in a second, in MiB; needs a control group with the `io` controller. Default: no limit.
    #[schemars(extend("examples" = [50]))]
    pub(crate) max_io_write_mb_per_second: Option<At<u64>>,
    /// Most space on the file systems that can be written, in MiB: private directories, writable paths. Default: no limit.
    #[schemars(extend("examples" = [4096]))]
    pub(crate) max_disk_mb: Option<At<u64>>,
    /// Most address space of a process, in MiB, used or not. To start, Node and Go need 1024, Java more than 2048; max_memory_mb
    /// limits what is really used. Default: no limit.
    #[schemars(extend("examples" = [4096]))]
    pub(crate) max_address_space_mb: Option<At<u64>>,
    /// How much is kept of each captured stream, in MiB; more is counted and dropped from the middle.
    #[schemars(extend("default" = 2))]
    pub(crate) max_output_mb: Option<At<u64>>,
    /// Longest time of a run, in seconds. Default: no limit.
    #[schemars(extend("examples" = [900]))]
    pub(crate) timeout_seconds: Option<At<u64>>,
    /// Longest time without output, in seconds. Default: no limit.
    #[schemars(extend("examples" = [120]))]
    pub(crate) idle_timeout_seconds: Option<At<u64>>,
    /// Time between SIGTERM and SIGKILL, in seconds.
    #[schemars(extend("default" = 5))]
    pub(crate) grace_seconds: Option<At<u64>>,
}

/// `unix_sockets`: a word, or a list of paths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum UnixSocketsWritten {
    Private,
    Inherit,
    Listed(Vec<At<String>>),
}

impl<'de> Deserialize<'de> for UnixSocketsWritten {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<UnixSocketsWritten, D::Error> {
        struct Sockets;
        impl<'de> Visitor<'de> for Sockets {
            type Value = UnixSocketsWritten;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"private\", \"inherit\" or a list of paths")
            }
            fn visit_str<E: Error>(self, word: &str) -> Result<UnixSocketsWritten, E> {
                match word {
                    "private" => Ok(UnixSocketsWritten::Private),
                    "inherit" => Ok(UnixSocketsWritten::Inherit),
                    _ => Err(E::unknown_variant(word, &["private", "inherit"])),
                }
            }
            fn visit_seq<A: SeqAccess<'de>>(
                self,
                mut list: A,
            ) -> Result<UnixSocketsWritten, A::Error> {
                let mut paths = Vec::new();
                while let Some(path) = list.next_element()? {
                    paths.push(path);
                }
                Ok(UnixSocketsWritten::Listed(paths))
            }
        }
        deserializer.deserialize_any(Sockets)
    }
}

impl JsonSchema for UnixSocketsWritten {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "UnixSockets".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "oneOf": [{ "enum": ["private", "inherit"] }, { "type": "array", "items": { "type": "string" } }]
        })
    }
}

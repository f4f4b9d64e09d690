//! Layers: flags over profile over what it inherits over the defaults.

use ringfence_config::{
    AllowEntry, ByteSize, Config, ConfigError, Encoding, Environment, FsMode, Isolation, Mode,
    Multiline, NetworkMode, Overrides, PolicyMode, Profile, ReadScope, Resolved, UnixSockets,
    init_file, json_schema,
};
use std::path::{Path, PathBuf};
use std::time::Duration;

fn environment() -> Environment {
    Environment::new([("HOME", "/home/u"), ("CACHE", "/var/cache/u")], "/work/project")
}

fn try_resolve(text: &str, profile: &str, flags: &Overrides) -> Result<Resolved, ConfigError> {
    let config = Config::from_str(text, Path::new("ringfence.toml"))?;
    config.resolve(Some(profile), flags, Path::new("."), &environment())
}

fn resolve(text: &str, profile: &str) -> Profile {
    try_resolve(text, profile, &Overrides::default()).expect(text).profile
}

fn paths(list: &[&str]) -> Vec<PathBuf> {
    list.iter().map(PathBuf::from).collect()
}

fn builtin() -> Resolved {
    let resolved =
        Config::builtin().resolve(None, &Overrides::default(), Path::new("."), &environment());
    resolved.expect("the built-in config is good")
}

#[test]
fn the_builtin_profile_is_a_sandbox() {
    let Resolved { profile, runner, source, warnings } = builtin();
    let expect = Profile {
        name: "default".into(),
        mode: Mode::Sandbox,
        isolation: Isolation::BestEffort,
        fs_mode: FsMode::WorkspaceRwScoped,
        workspace: "/work/project".into(),
        writable_paths: paths(&["/work/project"]),
        readable_paths: vec![],
        hidden_paths: vec![],
        protected_paths: vec![],
        read_scope: ReadScope::Host,
        network_mode: NetworkMode::Deny,
        network_allowlist: vec![],
        expose: vec![],
        unix_sockets: UnixSockets::Private,
        max_memory: None,
        max_cpu: None,
        max_processes: None,
        max_open_files: None,
        max_file_size: None,
        max_cpu_cores: None,
        max_io_read: None,
        max_io_write: None,
        asks_for_limits: false,
        max_disk: None,
        max_address_space: None,
        max_output: 2 << 20,
        timeout: None,
        idle_timeout: None,
        grace: Duration::from_secs(5),
    };
    assert_eq!(profile, expect);
    assert_eq!((source, warnings), (None, vec![]));
    assert!(runner.shell.is_absolute());
    assert_eq!(runner.shell_arg, "-c");
    assert_eq!(runner.policy, PolicyMode::Allowlist);
    assert_eq!(runner.allowed_shells, ["/bin/bash", "/bin/zsh", "/bin/sh"]);
    assert_eq!(runner.env_allowlist, ["PATH", "HOME", "USER", "LANG", "TERM"]);
    assert_eq!(runner.redaction.mask, "[REDACTED]");
    assert_eq!((runner.redaction.min_length, runner.redaction.trim), (4, true));
    assert_eq!(
        (runner.redaction.multiline, runner.redaction.encodings),
        (Multiline::Crlf, Encoding::ALL.to_vec())
    );
    assert_eq!(
        runner.redaction.detectors,
        ["kv", "auth_header", "aws", "github", "pem", "jwt", "url_userinfo"]
    );
}

/// The config of the interface, with every field.
const WHOLE: &str = r#"
[runner]
shell = "/bin/bash"
shell_arg = "-c"
policy = "unsafe"
executor = "shell"
allowed_shells = ["/bin/bash"]
allowed_shell_args = ["-c"]
env_allowlist = ["PATH", "LC_*"]
redaction_patterns = ["token"]
default_profile = "build"

[runner.redaction]
mask = "***"
case_insensitive = true
min_length = 8
trim = false
multiline = "lines"
encodings = ["base64"]
detectors = ["kv", "stripe"]

[[runner.detectors]]
name = "ticket"
regex = 'TCK-[0-9]{8}'

[[runner.rules]]
effect = "deny"
program = "git"
args = ["push", "--force"]
reason = "history is shared"

[profiles.build]
inherits = "default"
mode = "sandbox"
isolation = "strict"
fs_mode = "workspace_rw_scoped"
writable_paths = [".", "~/.cargo/registry", "$CACHE/x", "../sibling"]
readable_paths = ["/opt"]
hidden_paths = ["~/.config/*/token"]
protected_paths = ["Makefile"]
read_scope = "minimal"
network_mode = "allowlist"
network_allowlist = ["crates.example.org:443", "*.example.com", "10.1.2.3:5432", "[::1]:8080", "10.0.0.0/8:22"]
unix_sockets = ["/run/db.sock"]
max_memory_mb = 2048
max_cpu_seconds = 600
max_processes = 256
max_open_files = 1024
max_file_size_mb = 1024
max_output_mb = 4
timeout_seconds = 900
idle_timeout_seconds = 120
grace_seconds = 0
"#;

#[test]
fn every_field_is_read() {
    let config = Config::from_str(WHOLE, Path::new("ringfence.toml")).expect("the whole config");
    assert_eq!(config.default_profile(), "build");
    let resolved = config
        .resolve(None, &Overrides::default(), Path::new("."), &environment())
        .expect("it resolves");
    let entries =
        ["crates.example.org:443", "*.example.com", "10.1.2.3:5432", "[::1]:8080", "10.0.0.0/8:22"];
    let expect = Profile {
        name: "build".into(),
        mode: Mode::Sandbox,
        isolation: Isolation::Strict,
        fs_mode: FsMode::WorkspaceRwScoped,
        workspace: "/work/project".into(),
        writable_paths: paths(&[
            "/work/project",
            "/home/u/.cargo/registry",
            "/var/cache/u/x",
            "/work/sibling",
        ]),
        readable_paths: paths(&["/opt"]),
        hidden_paths: paths(&["/home/u/.config/*/token"]),
        protected_paths: paths(&["/work/project/Makefile"]),
        read_scope: ReadScope::Minimal,
        network_mode: NetworkMode::Allowlist,
        network_allowlist: entries
            .map(|entry| AllowEntry::parse(entry).expect("a good entry"))
            .to_vec(),
        expose: vec![],
        unix_sockets: UnixSockets::Listed(paths(&["/run/db.sock"])),
        max_memory: Some(2048 << 20),
        max_cpu: Some(Duration::from_secs(600)),
        max_processes: Some(256),
        max_open_files: Some(1024),
        max_file_size: Some(1024 << 20),
        max_cpu_cores: None,
        max_io_read: None,
        max_io_write: None,
        asks_for_limits: true,
        max_disk: None,
        max_address_space: None,
        max_output: 4 << 20,
        timeout: Some(Duration::from_secs(900)),
        idle_timeout: Some(Duration::from_secs(120)),
        grace: Duration::ZERO,
    };
    assert_eq!(resolved.profile, expect);
    let runner = resolved.runner;
    assert_eq!(runner.policy, PolicyMode::Unsafe);
    assert_eq!((runner.redaction.min_length, runner.redaction.mask.as_str()), (8, "***"));
    assert_eq!((runner.redaction.case_insensitive, runner.redaction.trim), (true, false));
    assert_eq!(runner.detectors[0].name, "ticket");
    assert_eq!(runner.rules[0].origin.as_deref(), Some("ringfence.toml:26"));
    assert!(runner.policy().env.allows("LC_ALL"));
}

#[test]
fn profiles_of_orchestrator_runner_carry_over() {
    let text = r#"
[profiles.step]
mode = "sandbox"
fs_mode = "workspace_rw_scoped"
writable_paths = ["target", "/tmp/x"]
network_mode = "allowlist"
network_allowlist = ["example.com", "127.0.0.1:8080", "[::1]:8443", "::1"]
max_memory_mb = 512
max_cpu_seconds = 30
max_processes = 64
max_open_files = 256
"#;
    let profile = resolve(text, "step");
    assert_eq!(profile.writable_paths, paths(&["/work/project/target", "/tmp/x"]));
    assert_eq!(profile.network_allowlist.len(), 4);
}

#[test]
fn the_nearest_layer_wins() {
    let text = r#"
[profiles.default]
grace_seconds = 1
timeout_seconds = 10
[profiles.a]
inherits = "default"
timeout_seconds = 20
writable_paths = ["a"]
[profiles.b]
inherits = "a"
timeout_seconds = 30
[profiles.alone]
"#;
    let b = resolve(text, "b");
    assert_eq!((b.grace.as_secs(), b.timeout), (1, Some(Duration::from_secs(30))));
    assert_eq!(b.writable_paths, paths(&["/work/project/a"]));
    assert_eq!(resolve(text, "default").timeout, Some(Duration::from_secs(10)));
    assert_eq!(
        resolve(text, "alone").timeout,
        None,
        "without `inherits` the built-in profile holds"
    );
}

#[test]
fn flags_win_and_add() {
    let flags = Overrides {
        rw: paths(&["out", "~/x"]),
        ro: paths(&["/opt/$x"]),
        hide: paths(&["secret"]),
        allow: vec![AllowEntry::parse("a.com").expect("a good entry")],
        timeout: Some(Duration::from_millis(1500)),
        memory: Some(ByteSize::from_bytes(5)),
        cpu_time: Some(Duration::from_millis(1500)),
        pids: Some(3),
        max_output: Some(ByteSize::from_bytes(0)),
        grace: Some(Duration::ZERO),
        ..Overrides::default()
    };
    let text = "[profiles.a]\ntimeout_seconds = 1\nmax_processes = 9\nmax_open_files = 7\nhidden_paths = [\"h\"]";
    let profile = try_resolve(text, "a", &flags).expect("it resolves").profile;
    assert_eq!(profile.writable_paths, paths(&["/work/project", "/work/project/out", "/home/u/x"]));
    assert_eq!(profile.readable_paths, paths(&["/opt/$x"]));
    assert_eq!(profile.hidden_paths, paths(&["/work/project/h", "/work/project/secret"]));
    assert_eq!(profile.network_mode, NetworkMode::Allowlist);
    assert_eq!(profile.network_allowlist.len(), 1);
    assert_eq!(profile.timeout, Some(Duration::from_millis(1500)));
    assert_eq!(profile.max_cpu, Some(Duration::from_secs(2)));
    assert_eq!(
        (profile.max_memory, profile.max_processes, profile.max_open_files),
        (Some(5), Some(3), Some(7))
    );
    assert_eq!((profile.max_output, profile.grace), (0, Duration::ZERO));
}

#[test]
fn host_mode_starts_afresh_but_keeps_limits() {
    let text = r#"
[profiles.default]
hidden_paths = ["~/x"]
network_mode = "deny"
isolation = "strict"
timeout_seconds = 9
[profiles.h]
inherits = "default"
mode = "host"
[profiles.s]
inherits = "h"
mode = "sandbox"
"#;
    let host = resolve(text, "h");
    assert_eq!(
        (host.mode, host.fs_mode, host.network_mode),
        (Mode::Host, FsMode::Inherit, NetworkMode::Inherit)
    );
    assert_eq!((host.unix_sockets, host.isolation), (UnixSockets::Inherit, Isolation::BestEffort));
    assert_eq!((host.hidden_paths, host.writable_paths), (vec![], vec![]));
    assert_eq!(host.timeout, Some(Duration::from_secs(9)));
    let sandbox = resolve(text, "s");
    assert_eq!((sandbox.mode, sandbox.hidden_paths), (Mode::Sandbox, paths(&["/home/u/x"])));
}

fn flag_error(text: &str, flags: &Overrides, expect: &str) {
    let error = try_resolve(text, "default", flags).expect_err(expect);
    assert_eq!(error.to_string(), expect);
}

#[test]
fn flags_that_contradict_are_refused() {
    let base = Overrides::default;
    let host = "[profiles.default]\nmode = \"host\"";
    let entry = || vec![AllowEntry::parse("a.com").expect("a good entry")];
    flag_error(
        host,
        &Overrides { net: Some(NetworkMode::Deny), ..base() },
        "--net: it has no meaning with `mode = \"host\"`",
    );
    flag_error(
        host,
        &Overrides { fs: Some(FsMode::WorkspaceReadonly), ..base() },
        "--fs: it has no meaning with `mode = \"host\"`",
    );
    flag_error(
        host,
        &Overrides { allow: entry(), ..base() },
        "--allow: it has no meaning with `mode = \"host\"`",
    );
    flag_error(
        host,
        &Overrides { hide: paths(&["x"]), ..base() },
        "--hide: it has no meaning with `mode = \"host\"`",
    );
    let both = Overrides { allow: entry(), net: Some(NetworkMode::Deny), ..base() };
    flag_error("", &both, "--allow: it has no meaning with `--net deny`");
    let readonly = Overrides { fs: Some(FsMode::WorkspaceReadonly), rw: paths(&["x"]), ..base() };
    flag_error("", &readonly, "--rw: it has no meaning with `fs_mode = \"workspace_readonly\"`");
    flag_error("", &Overrides { open_files: Some(0), ..base() }, "--open-files: 0 is out of range");
    flag_error(
        "",
        &Overrides { timeout: Some(Duration::ZERO), ..base() },
        "--timeout: 0 is out of range",
    );
}

#[test]
fn oddities_are_warned_of() {
    let check = |text: &str, workspace: &str, expect: &[&str]| {
        let config = Config::from_str(text, Path::new("ringfence.toml")).expect(text);
        let resolved =
            config.resolve(None, &Overrides::default(), Path::new(workspace), &environment());
        assert_eq!(resolved.expect(text).warnings, expect, "{text}");
    };
    check("", ".", &[]);
    check("", "/home/u", &["the command can write all of /home/u"]);
    check("", "/", &["the command can write all of /"]);
    check(
        "[profiles.default]\nfs_mode = \"workspace_readonly\"\nwritable_paths = [\".\"]",
        ".",
        &["writable_paths has no effect with fs_mode = \"workspace_readonly\""],
    );
    check("[profiles.default]\nfs_mode = \"workspace_readonly\"", ".", &[]);
    check(
        "[profiles.default]\nnetwork_allowlist = [\"a.com\"]",
        ".",
        &["network_allowlist has no effect with network_mode = \"deny\""],
    );
    check(
        "[profiles.default]\nnetwork_mode = \"allowlist\"",
        ".",
        &["network_mode is \"allowlist\" and network_allowlist is empty: nothing can be reached"],
    );
}

#[test]
fn the_workspace_is_made_absolute() {
    let workspace = |path: &str| {
        let resolved =
            Config::builtin().resolve(None, &Overrides::default(), Path::new(path), &environment());
        resolved.map(|resolved| resolved.profile.workspace)
    };
    assert_eq!(workspace("sub/.").expect("it resolves"), Path::new("/work/project/sub"));
    assert_eq!(workspace("/x//y/").expect("it resolves"), Path::new("/x/y"));
    let error = workspace("/nowhere/at/../all").expect_err("it does not exist");
    assert_eq!(error.to_string(), "--workspace: failed to find the workspace `/nowhere/at/../all`");
}

/// The lines of the file that show a default, uncommented.
fn uncommented(file: &str) -> String {
    let is_default = |line: &&str| {
        line.strip_prefix('#')
            .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_lowercase()))
    };
    let lines = file.lines().map(|line| if is_default(&line) { &line[1..] } else { line });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn the_init_file_is_the_builtin_config() {
    let file = init_file();
    for text in [file.clone(), uncommented(&file)] {
        let config = Config::from_str(&text, Path::new("ringfence.toml")).expect(&text);
        let resolved = config
            .resolve(None, &Overrides::default(), Path::new("."), &environment())
            .expect(&text);
        assert_eq!((resolved.profile, resolved.runner), (builtin().profile, builtin().runner));
        assert_eq!(resolved.warnings, Vec::<String>::new());
    }
    assert_ne!(file, uncommented(&file));
}

#[test]
fn the_init_file_names_every_field() {
    let file = init_file();
    let schema = json_schema();
    for table in ["Runner", "Redaction", "Detector", "Rule", "Profile"] {
        let fields = schema["$defs"][table]["properties"].as_object().expect("a table has fields");
        for field in fields.keys().filter(|field| {
            !["redaction", "output", "detectors", "rules"].contains(&field.as_str())
        }) {
            assert!(file.contains(&format!("{field} = ")), "{table}.{field}");
        }
    }
    assert!(file.lines().all(|line| line.chars().count() <= 110), "a line is too wide");
}

#[test]
fn a_machine_that_is_known_gives_limits_their_defaults() {
    let resolve = |lines: &str, memory: Option<u64>| {
        let text = format!("[profiles.a]\n{lines}");
        let environment = Environment::new([("HOME", "/home/u")], "/work");
        let environment = match memory {
            Some(bytes) => environment.with_memory(bytes),
            None => environment,
        };
        let config = Config::from_str(&text, Path::new("ringfence.toml")).expect("sound");
        let flags = Overrides::default();
        let resolved = config.resolve(Some("a"), &flags, Path::new("/work"), &environment);
        let profile = resolved.expect("sound").profile;
        (profile.max_memory, profile.max_processes)
    };
    assert_eq!(resolve("", None), (None, None));
    assert_eq!(resolve("", Some(4 << 30)), (Some(3 << 30), Some(4096)));
    let said = "max_memory_mb = 1\nmax_processes = 2";
    assert_eq!(resolve(said, Some(4 << 30)), (Some(1 << 20), Some(2)));
    let none = "max_memory_mb = 0\nmax_processes = 0";
    assert_eq!(resolve(none, Some(4 << 30)), (None, None));
}

#[test]
fn a_share_of_cores_is_a_whole_number_or_not() {
    let resolve = |text: &str| {
        let text = format!("[profiles.a]\nmax_cpu_cores = {text}");
        let environment = Environment::new([("HOME", "/home/u")], "/work");
        let config = Config::from_str(&text, Path::new("ringfence.toml")).ok()?;
        let flags = Overrides::default();
        let resolved = config.resolve(Some("a"), &flags, Path::new("/work"), &environment).ok()?;
        resolved.profile.max_cpu_cores.map(|cores| cores.to_string())
    };
    for (text, expect) in [("2", Some("2")), ("1.5", Some("1.5")), ("0.0001", None), ("-1", None)] {
        assert_eq!(resolve(text).as_deref(), expect, "{text}");
    }
}

//! Where credentials lie: hidden from every command that sees the host's files.
//!
//! A list of places, nothing of how they are hidden. It names what a program
//! could use to act as its user elsewhere (keys, tokens, passwords, sessions of
//! browsers), histories (they hold what was typed, secrets included), and what
//! only the super-user may read. It is deliberately no list of everything
//! private: a file of the user's that holds a secret under any other name is
//! the business of `hidden_paths`.

/// Directories, and the names in each: a directory that is not there is looked for once.
pub(crate) type Stores = &'static [(&'static str, &'static [&'static str])];

/// Below a home directory: keys, clouds, registries and forges, assistants,
/// databases and mail, browsers, wallets and messengers, histories.
pub(crate) const IN_HOME: Stores = &[
    (
        "",
        &[
            ".ssh",
            ".gnupg",
            ".pki",
            ".password-store",
            ".age",
            ".vault-token",
            ".aws",
            ".azure",
            ".boto",
            ".s3cfg",
            ".oci",
            ".bluemix",
            ".fly",
            ".wrangler",
            ".databrickscfg",
            ".snowflake",
            ".kube",
            ".talos",
            ".terraformrc",
            ".docker",
            ".netrc",
            ".npmrc",
            ".yarnrc",
            ".yarnrc.yml",
            ".pypirc",
            ".git-credentials",
            ".kaggle",
            ".claude.json",
            ".pgpass",
            ".my.cnf",
            ".mylogin.cnf",
            ".mongorc.js",
            ".rediscli_auth",
            ".msmtprc",
            ".mbsyncrc",
            ".thunderbird",
            ".mozilla",
            ".bitcoin",
            ".ethereum",
            ".electrum",
            ".bash_history",
            ".zsh_history",
            ".zhistory",
            ".histfile",
            ".history",
            ".sh_history",
            ".ksh_history",
            ".python_history",
            ".node_repl_history",
            ".irb_history",
            ".psql_history",
            ".mysql_history",
            ".sqlite_history",
            ".rediscli_history",
            ".lesshst",
            ".viminfo",
            ".Xauthority",
            ".ICEauthority",
        ],
    ),
    (
        ".config",
        &[
            "age",
            "sops",
            "op",
            "1Password",
            "Bitwarden",
            "Bitwarden CLI",
            "keepassxc",
            "gcloud",
            "doctl",
            "hcloud",
            "linode-cli",
            "scw",
            "rclone",
            "flyctl",
            "heroku",
            "netlify",
            "vercel",
            ".wrangler",
            "gh",
            "hub",
            "glab-cli",
            "tea",
            "github-copilot",
            "openai",
            "anthropic",
            "msmtp",
            "neomutt",
            "google-chrome",
            "google-chrome-beta",
            "chromium",
            "BraveSoftware",
            "microsoft-edge",
            "opera",
            "vivaldi",
            "Signal",
            "Slack",
            "discord",
        ],
    ),
    (
        ".local/share",
        &["keyrings", "kwalletd", "com.vercel.cli", "TelegramDesktop", "recently-used.xbel"],
    ),
    (".kde/share/apps", &["kwallet"]),
    (".minikube", &["profiles"]),
    (".terraform.d", &["credentials.tfrc.json"]),
    (".pulumi", &["credentials.json"]),
    (".config/helm", &["registry"]),
    (".config/containers", &["auth.json"]),
    (".config/pip", &["pip.conf"]),
    (".config/uv", &["credentials"]),
    (".local/share/uv", &["credentials"]),
    (".cargo", &["credentials", "credentials.toml"]),
    (".gem", &["credentials"]),
    (".local/share/gem", &["credentials"]),
    (".bundle", &["config"]),
    (".composer", &["auth.json"]),
    (".config/composer", &["auth.json"]),
    (".m2", &["settings.xml", "settings-security.xml"]),
    (".gradle", &["gradle.properties"]),
    (".nuget/NuGet", &["NuGet.Config"]),
    (".hex", &["hex.config"]),
    (".config/git", &["credentials"]),
    (".cache/huggingface", &["token", "stored_tokens"]),
    (".huggingface", &["token"]),
    (".claude", &[".credentials.json"]),
    (".codex", &["auth.json"]),
    (".gemini", &["oauth_creds.json"]),
    ("snap", &["firefox", "chromium"]),
    (".var", &["app"]),
    (".local/share/fish", &["fish_history"]),
];

/// Anywhere, for whoever runs the command; below the root.
#[cfg(target_os = "linux")]
pub(crate) const IN_SYSTEM: Stores = &[
    (
        "etc",
        &[
            "shadow",
            "shadow-",
            "gshadow",
            "gshadow-",
            "sudoers",
            "sudoers.d",
            "letsencrypt",
            "krb5.keytab",
            "wireguard",
            "openvpn",
            "ipsec.secrets",
            "wpa_supplicant",
            "kubernetes",
            "rancher",
        ],
    ),
    ("etc/security", &["opasswd"]),
    (
        "etc/ssh",
        &["ssh_host_rsa_key", "ssh_host_dsa_key", "ssh_host_ecdsa_key", "ssh_host_ed25519_key"],
    ),
    ("etc/ssl", &["private"]),
    ("etc/pki/tls", &["private"]),
    ("etc/ppp", &["chap-secrets", "pap-secrets"]),
    ("etc/NetworkManager", &["system-connections"]),
    ("etc/docker", &["key.json"]),
    ("etc/cni", &["net.d"]),
    (
        "var/lib",
        &[
            "kubelet",
            "docker",
            "containerd",
            "containers",
            "private",
            "NetworkManager",
            "bluetooth",
            "iwd",
        ],
    ),
    ("var/lib/sss", &["secrets"]),
    ("var/lib/systemd", &["credential.secret"]),
    ("var/spool", &["cron", "mail"]),
    ("var", &["mail"]),
];

/// In `/run`, where that is not private; below the root.
#[cfg(target_os = "linux")]
pub(crate) const IN_RUN: Stores = &[(
    "run",
    &["secrets", "secrets.d", "credentials", "agenix", "agenix.d", "keys", "cryptsetup"],
)];

/// What the super-user alone may read, and what shows the kernel's insides to it;
/// below the root.
#[cfg(target_os = "linux")]
pub(crate) const IN_KERNEL: Stores = &[
    ("sys/kernel", &["debug", "tracing", "security"]),
    ("sys/fs", &["bpf"]),
    ("sys", &["firmware"]),
];

/// Parts of `/proc` that the super-user may write to by file mode alone, without
/// any capability: they are made read-only for it.
#[cfg(target_os = "linux")]
pub(crate) const IN_PROC: &[&str] = &[
    "sys",
    "sysrq-trigger",
    "irq",
    "bus",
    "fs",
    "acpi",
    "scsi",
    "driver",
    "asound",
    "mtrr",
    "latency_stats",
    "dynamic_debug",
];

//! Where credentials lie on macOS, beside the places that all systems have in common.
//!
//! Rules go by name, so nothing is looked for: what does not exist yet is hidden when it appears.

use crate::stores::Stores;

/// Below a home directory: keychains, browsers, mail, messages, and what applications keep.
pub(crate) const IN_HOME: Stores = &[
    (
        "Library",
        &[
            "Keychains",
            "Cookies",
            "Accounts",
            "Mail",
            "Messages",
            "Safari",
            "Passes",
            "IdentityServices",
            "Mobile Documents",
            "Group Containers",
            "Autosave Information",
            "HTTPStorages",
            "WebKit",
        ],
    ),
    (
        "Library/Application Support",
        &[
            "Google",
            "Chromium",
            "BraveSoftware",
            "Microsoft Edge",
            "com.operasoftware.Opera",
            "Vivaldi",
            "Arc",
            "Firefox",
            "Thunderbird",
            "1Password",
            "Bitwarden",
            "KeePassXC",
            "AddressBook",
            "CallHistoryDB",
            "MobileSync",
            "com.apple.TCC",
            "Signal",
            "Slack",
            "discord",
            "Telegram Desktop",
            "Bitcoin",
            "Ethereum",
            "Electrum",
            "Exodus",
            "gcloud",
            "com.vercel.cli",
            "sops",
        ],
    ),
    (
        "Library/Containers",
        &[
            "com.apple.Safari",
            "com.apple.mail",
            "com.apple.Notes",
            "com.bitwarden.desktop",
            "com.docker.docker",
            "ru.keepcoder.Telegram",
        ],
    ),
    ("Library/Preferences", &["netlify", "doctl"]),
    ("Library/Caches", &["com.apple.Safari", "Google", "Firefox", "BraveSoftware"]),
    ("", &[".zsh_sessions", ".bash_sessions"]),
];

/// Anywhere, for whoever runs the command; below the root.
pub(crate) const IN_SYSTEM: Stores = &[
    (
        "private/etc",
        &[
            "master.passwd",
            "sudoers",
            "sudoers.d",
            "krb5.keytab",
            "racoon",
            "ppp",
            "wireguard",
            "openvpn",
            "letsencrypt",
        ],
    ),
    (
        "private/etc/ssh",
        &["ssh_host_rsa_key", "ssh_host_dsa_key", "ssh_host_ecdsa_key", "ssh_host_ed25519_key"],
    ),
    ("private/etc/ssl", &["private"]),
    (
        "private/var/db",
        &["dslocal", "SystemKey", "shadow", "ConfigurationProfiles", "locationd", "sudo"],
    ),
    ("private/var", &["root", "mail", "spool", "vm", "audit"]),
    ("private/var/at", &["tabs"]),
    ("Library", &["Keychains"]),
    ("Library/Application Support", &["com.apple.TCC"]),
];

//! The keywords of `sshd_config` that the service may use: those that the target's OpenSSH 6.0 knows (docs/facts.md 11).
//!
//! An sshd ends at a keyword that it does not know, and the tests run on a much newer one.

/// A keyword.
#[derive(Debug)]
pub struct Row {
    /// As it is written.
    pub keyword: &'static str,
    /// What it is here for.
    pub why: &'static str,
}

const fn row(keyword: &'static str, why: &'static str) -> Row {
    Row { keyword, why }
}

/// All of them, sorted.
pub const TABLE: &[Row] = &[
    row("AllowAgentForwarding", "the join key forwards nothing"),
    row("AllowTcpForwarding", "the join key forwards nothing"),
    row("AllowUsers", "one user, whatever accounts the node has"),
    row("AuthorizedKeysFile", "this key and not those of root's folder, which open a shell"),
    row("ChallengeResponseAuthentication", "no passwords; newer versions know it as another's old name"),
    row(
        "ClientAliveCountMax",
        "a dead node's session, and with it the join's lock, ends within half a minute",
    ),
    row("ClientAliveInterval", "as above"),
    row("ForceCommand", "as in the key's line: whatever key gets in runs the enrolment"),
    row("HostKey", "the site's, which every server of the site knows from its installation"),
    row("ListenAddress", "the Master's address; it comes after Port, which is taken over only then"),
    row("LoginGraceTime", "who does not log in holds no place"),
    row("MaxAuthTries", "one key is enough"),
    row("MaxSessions", "a connection is one session"),
    row("MaxStartups", "the rate of connections that have not logged in"),
    row("PasswordAuthentication", "no passwords"),
    row("PermitRootLogin", "root, and by a key with a forced command alone"),
    row("PermitTunnel", "the join key forwards nothing"),
    row("PermitUserEnvironment", "the client sets no variable of the command"),
    row("PidFile", "beside that of the usual sshd"),
    row("Port", "beside the usual sshd"),
    row("PubkeyAuthentication", "the join key"),
    row("StrictModes", "a file of keys that others may write opens nothing"),
    row("UseDNS", "a join waits for no name server"),
    row("UsePAM", "no passwords, and no limits of PAM's sessions"),
    row("X11Forwarding", "the join key forwards nothing"),
];

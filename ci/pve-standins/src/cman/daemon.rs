//! The daemon of the stand-in for cman: the votes of corosync's members, counted by cman's sums, for the programs of this
//! node. It ends when corosync does.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::corosync::{Corosync, Engine, FakeEngine};
use super::peers::Cman;
use super::{Answer, CONF, Question, SOCKET};
use crate::args::Args;
use crate::clusterconf::{ClusterConf, KEY};
use crate::daemon;
use crate::wire::Secret;

/// Where the members' cman listen.
pub const PORT: u16 = 5408;
/// How long corosync may take to answer.
const START: Duration = Duration::from_mins(1);

/// Runs the daemon, in the background unless `-f`. The long options are for tests.
pub fn run(mut args: Args) -> Result<u8> {
    if !args.flag("-f") {
        return daemon::background(&args, "-f");
    }
    let path =
        |value: Option<String>, default: &str| PathBuf::from(value.unwrap_or_else(|| default.to_owned()));
    let (conf, key) = (path(args.value("--conf"), CONF), path(args.value("--key"), KEY));
    let socket = path(args.value("--socket"), SOCKET);
    let name = args.value("--name").unwrap_or_else(crate::node_name);
    let listen =
        args.value("--listen").map_or(Ok(SocketAddr::from(([0, 0, 0, 0], PORT))), |text| text.parse());
    let listen = listen.context("--listen")?;
    let (engine, pause): (Box<dyn Engine>, _) = match args.value("--fake") {
        Some(file) => (Box::new(FakeEngine(file.into())), 20),
        None => (Box::new(Corosync::default()), 500),
    };
    args.end()?;
    let done = serve(conf, &key, &socket, &name, listen, engine, Duration::from_millis(pause));
    let _ = std::fs::remove_file(&socket);
    match done {
        Ok(()) => Ok(0),
        Err(error) => {
            daemon::fatal(&format!("{error:#}"));
            Ok(1)
        }
    }
}

fn serve(
    path: PathBuf,
    key: &Path,
    socket: &Path,
    name: &str,
    listen: SocketAddr,
    mut engine: Box<dyn Engine>,
    pause: Duration,
) -> Result<()> {
    let text = std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    let conf = ClusterConf::parse(&text)?;
    if let Some(refusal) = conf.refusal() {
        anyhow::bail!("{refusal}");
    }
    let node = conf.node(name).with_context(|| format!("Unable to find node name {name} in cluster.conf"))?;
    let node = node.clone();
    let key = std::fs::read(key).with_context(|| format!("reading {}", key.display()))?;
    let listener = TcpListener::bind(listen).with_context(|| format!("listening at {listen}"))?;
    let _ = std::fs::remove_file(socket);
    let programs =
        UnixListener::bind(socket).with_context(|| format!("listening at {}", socket.display()))?;
    engine.configure(&conf, false)?;
    let deadline = Instant::now() + START;
    let members = loop {
        if let Some(members) = engine.members().filter(|members| members.contains_key(&node.id)) {
            break members;
        }
        anyhow::ensure!(Instant::now() < deadline, "corosync did not answer within {START:?}");
        std::thread::sleep(pause);
    };
    let cman = Arc::new(Cman::new(conf, path, node, Secret::new(key, "cman")));
    cman.listen(listener);
    cman.count(&members);
    let answering = Arc::clone(&cman);
    std::thread::spawn(move || {
        for stream in programs.incoming().filter_map(Result::ok) {
            let cman = Arc::clone(&answering);
            std::thread::spawn(move || {
                // A program that goes away needs no answer.
                let _ = one(&cman, &stream);
            });
        }
    });
    daemon::ready().say();
    let signals = daemon::signals()?;
    let ending = Arc::clone(&cman);
    std::thread::spawn(move || {
        signals.wait();
        ending.leave();
    });
    let end = cman.follow(engine.as_mut(), pause);
    engine.stop();
    end
}

fn one(cman: &Cman, mut stream: &UnixStream) -> std::io::Result<()> {
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    let answer = match serde_json::from_str(&line)? {
        Question::Watch => return watch(cman, stream),
        Question::Status => Answer::Status(Box::new(cman.status())),
        Question::Expected(votes) if cman.expected(votes) => Answer::Fine,
        Question::Expected(_) => Answer::Invalid,
        Question::Leave(remove) => {
            cman.announce(remove);
            writeln!(stream, "{}", serde_json::to_string(&Answer::Fine)?)?;
            // The process ends now, so the answer comes first.
            cman.leave();
            return Ok(());
        }
        Question::Reread => {
            cman.reread();
            Answer::Fine
        }
    };
    writeln!(stream, "{}", serde_json::to_string(&answer)?)
}

fn watch(cman: &Cman, mut stream: &UnixStream) -> std::io::Result<()> {
    let mut told = None;
    loop {
        let view = cman.view();
        if told.as_ref() != Some(&view) {
            writeln!(stream, "{}", serde_json::to_string(&view)?)?;
            told = Some(view);
        }
        cman.wait(Duration::from_secs(1));
    }
}

//! A web server on the loopback that serves a folder, one connection at a time, until it is dropped.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

pub struct Server {
    pub uri: String,
    /// Tells that half of a package was sent; the rest never is.
    pub halves: Receiver<()>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Serves `root`; `halting` sends only half of each package.
    pub fn new(root: &Path, halting: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let uri = format!("http://{}", listener.local_addr().unwrap());
        let (told, halves) = channel();
        let over = Arc::new(AtomicBool::new(false));
        let (root, ended) = (root.to_owned(), Arc::clone(&over));
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if ended.load(Ordering::SeqCst) {
                    break;
                }
                let (root, told) = (root.clone(), told.clone());
                std::thread::spawn(move || serve(stream.unwrap(), &root, halting, &told));
            }
        });
        Self { uri, halves, over, thread: Some(thread) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.uri.trim_start_matches("http://"));
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn serve(mut stream: TcpStream, root: &Path, halting: bool, told: &Sender<()>) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
    while let Some(Ok(line)) = lines.next() {
        let Some(path) = line.strip_prefix("GET ").and_then(|rest| rest.split(' ').next()) else { continue };
        // A request ends with an empty line.
        while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
        let file: PathBuf = root.join(path.trim_start_matches('/').replace("%25", "%"));
        let (status, body) = match fs::read(&file) {
            Ok(body) => ("200 OK", body),
            Err(_) => ("404 Not Found", Vec::new()),
        };
        let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n", body.len());
        let half = halting && path.starts_with("/pool/");
        let part = if half { &body[..body.len() / 2] } else { &body[..] };
        if stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(part)).is_err() {
            return;
        }
        if half {
            let _ = told.send(());
            // Until the other side goes away.
            let _ = stream.read(&mut [0]);
            return;
        }
    }
}

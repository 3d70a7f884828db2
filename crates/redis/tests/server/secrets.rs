use std::{path::Path, process::Command};

use ziggurat_core::Secret;
use ziggurat_redis::{Address, RedisConfig, StoreError, Trouble};
use ziggurat_testkit::redis::RedisServer;

use crate::rig::{Rig, until};

#[tokio::test]
async fn a_password_is_given_and_shown_to_nobody() {
    let Some(server) = RedisServer::start_with(&[("requirepass", "hunter2")]).await else {
        return;
    };
    let rig = Rig::up(RedisConfig::from_url(&server.url()).expect("is a URL")).await;
    assert_eq!(rig.count("a").await, Ok(1));
    let shown = format!("{:?}{}", rig.client, rig.lines.text());
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[tokio::test]
async fn a_wrong_password_is_told_once_and_tried_seldom() {
    let Some(server) = RedisServer::start_with(&[("requirepass", "hunter2")]).await else {
        return;
    };
    let one = || RedisConfig::single(Address::new("127.0.0.1", server.port()));
    for config in [one(), one().with_password(Secret::new("hunter3"))] {
        let rig = Rig::new(config);
        until("it is known why", || rig.trouble() == Some(Trouble::Login)).await;
        assert_eq!(rig.count("a").await, Err(StoreError::Down));
        server.config_set("requirepass", "hunter2").await;
        let before = connections(&server).await;
        tokio::time::sleep(std::time::Duration::from_secs(2)).await;
        let tried = connections(&server).await - before;
        // Ours that ask are among them.
        assert!((1..10).contains(&tried), "{tried}");
        assert_eq!(rig.lines.counts(), (1, 0), "{}", rig.lines.text());
        assert!(!rig.lines.text().contains("hunter"));
    }
}

async fn connections(server: &RedisServer) -> u32 {
    let stats = server
        .command(&["INFO", "stats"])
        .await
        .expect("is a command");
    let line = stats
        .lines()
        .find_map(|it| it.strip_prefix("total_connections_received:"));
    line.and_then(|it| it.trim().parse().ok()).expect("is told")
}

#[tokio::test]
async fn an_encrypted_connection_is_made_to_those_that_are_trusted() {
    let dir = std::env::temp_dir().join(format!("ziggurat-tls-{}", std::process::id()));
    std::fs::create_dir_all(&dir).expect("there is room");
    let Some((certificate, key)) = certificate(&dir) else {
        println!("skipped: there is no `openssl` to make a certificate with");
        return;
    };
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|it| it.local_addr())
        .expect("the loopback has a port")
        .port();
    let text = port.to_string();
    let settings = [
        ("tls-port", &*text),
        ("tls-cert-file", "cert.pem"),
        ("tls-key-file", "key.pem"),
        ("tls-ca-cert-file", "cert.pem"),
        ("tls-auth-clients", "no"),
    ];
    let files = [("cert.pem", certificate.clone()), ("key.pem", key)];
    let server = RedisServer::start_with_files(&settings, &files).await;
    let _ = std::fs::remove_dir_all(&dir);
    let Some(_server) = server else {
        return;
    };
    let one = || RedisConfig::single(Address::new("127.0.0.1", port));
    let trusting = one()
        .with_authorities(certificate.as_bytes())
        .expect("is one");
    let rig = Rig::up(trusting).await;
    assert_eq!(rig.count("a").await, Ok(1));

    let rig = Rig::new(one().with_tls());
    until("it is known why", || rig.trouble() == Some(Trouble::Tls)).await;
}

/// A certificate for the loopback, which vouches for itself, and its key.
fn certificate(dir: &Path) -> Option<(String, String)> {
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
        ])
        .args(["-nodes", "-days", "2", "-subj", "/CN=ziggurat"])
        .args(["-addext", "subjectAltName=IP:127.0.0.1"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .args(["-keyout", "key.pem", "-out", "cert.pem"])
        .current_dir(dir)
        .output()
        .ok()?;
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    let read = |name| std::fs::read_to_string(dir.join(name)).ok();
    Some((read("cert.pem")?, read("key.pem")?))
}

//! TLS 1.3 unless told otherwise, and never in the clear to other machines; what is wrong with the
//! settings is told at the start.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::Arc,
    time::Duration,
};

use rustls::{
    ClientConfig, ClientConnection, ProtocolVersion, RootCertStore, Stream, SupportedProtocolVersion,
    crypto::ring,
    pki_types::ServerName,
    version::{TLS12, TLS13},
};

use super::server::Serve;
use crate::support::TestEnv;

/// An environment with a certificate for `localhost` in `cert.pem`, its key in `key.pem` and another
/// one in `other.pem`; and who trusts it.
fn certified() -> (TestEnv, Arc<RootCertStore>) {
    let env = TestEnv::new();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    env.write("cert.pem", &made.cert.pem());
    env.write("key.pem", &made.signing_key.serialize_pem());
    env.write("other.pem", &rcgen::KeyPair::generate().unwrap().serialize_pem());
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    (env, Arc::new(roots))
}

const TLS: &str = "--tls-cert cert.pem --tls-key key.pem";

fn address(serve: &Serve) -> &str {
    serve.url.split("//").nth(1).unwrap()
}

fn connect(serve: &Serve) -> TcpStream {
    let stream = TcpStream::connect(address(serve)).unwrap();
    stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
    stream
}

/// Asks whether it is alive, in one version of TLS; answers with the version that was spoken.
fn ask(
    serve: &Serve,
    roots: &Arc<RootCertStore>,
    version: &'static SupportedProtocolVersion,
) -> std::io::Result<ProtocolVersion> {
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(Arc::clone(roots))
        .with_no_client_auth();
    let mut tls = ClientConnection::new(Arc::new(config), ServerName::try_from("localhost").unwrap()).unwrap();
    let mut tcp = connect(serve);
    let mut stream = Stream::new(&mut tls, &mut tcp);
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("{\"status\":\"ok\"}"), "{answer}");
    Ok(tls.protocol_version().unwrap())
}

#[test]
fn tls_1_3_is_spoken_and_1_2_by_choice() {
    let (env, roots) = certified();
    let serve = Serve::start(&env, TLS);
    assert!(serve.url.starts_with("https://"), "{}", serve.url);
    assert_eq!(ask(&serve, &roots, &TLS13).unwrap(), ProtocolVersion::TLSv1_3);
    let refused = ask(&serve, &roots, &TLS12).unwrap_err().to_string();
    assert!(refused.contains("ProtocolVersion"), "{refused}");

    let serve = Serve::start(&env, &format!("{TLS} --tls-min 1.2"));
    assert_eq!(ask(&serve, &roots, &TLS12).unwrap(), ProtocolVersion::TLSv1_2);
    assert_eq!(ask(&serve, &roots, &TLS13).unwrap(), ProtocolVersion::TLSv1_3);
}

#[test]
fn a_renewed_certificate_is_taken_over_once_both_files_are_there() {
    let (env, before) = certified();
    let mut serve = Serve::start(&env, TLS);
    let (renewed, after) = certified();
    std::fs::copy(renewed.path("work/key.pem"), env.path("work/key.pem")).unwrap();
    let stays = "the former certificate stays in use: `cert.pem` and `key.pem` do not go together";
    serve.says(stays);
    ask(&serve, &before, &TLS13).unwrap();
    std::fs::copy(renewed.path("work/cert.pem"), env.path("work/cert.pem")).unwrap();
    serve.says("the renewed certificate is used from now on");
    ask(&serve, &after, &TLS13).unwrap();
    let refused = ask(&serve, &before, &TLS13).unwrap_err().to_string();
    assert!(refused.contains("certificate"), "{refused}");
}

#[test]
fn what_is_no_tls_does_no_harm() {
    let (env, roots) = certified();
    let serve = Serve::start(&env, TLS);
    for said in [&b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"[..], b"\x16\x03\x01\xff\xff\0\0", &[0xff; 5000]] {
        let mut stream = connect(&serve);
        stream.write_all(said).unwrap();
        let mut answer = Vec::new();
        // An alert of TLS or nothing, and the end; not a word of HTTP.
        let _ = stream.read_to_end(&mut answer);
        assert!(!answer.starts_with(b"HTTP"), "{}", String::from_utf8_lossy(&answer));
    }
    ask(&serve, &roots, &TLS13).unwrap();
}

#[test]
fn a_handshake_that_does_not_come_is_not_waited_for() {
    let (env, roots) = certified();
    let serve = Serve::start(&env, TLS);
    let mut silent = connect(&serve);
    let mut begun = connect(&serve);
    begun.write_all(b"\x16\x03\x01\x02\0").unwrap();
    ask(&serve, &roots, &TLS13).unwrap();
    for stream in [&mut silent, &mut begun] {
        let end = stream.read(&mut [0; 100]);
        assert!(matches!(end, Ok(0)) || end.is_err_and(|error| error.kind() != std::io::ErrorKind::WouldBlock));
    }
}

#[test]
fn without_tls_other_machines_are_served_behind_a_proxy_only() {
    let env = TestEnv::new();
    let refused = env.run("serve --listen 0.0.0.0:0").expect(64).stderr;
    assert!(
        refused.contains("error: without TLS, tokens and secrets would be sent unencrypted at `0.0.0.0:0`"),
        "{refused}"
    );
    assert!(refused.contains("hint: give `--tls-cert` and `--tls-key`, or `--behind-proxy`"), "{refused}");
    env.run("serve --listen [::]:0").expect(64);

    let serve = Serve::start(&env, "--listen 0.0.0.0:0 --behind-proxy");
    assert!(serve.url.starts_with("http://0.0.0.0:"), "{}", serve.url);
    serve.client("").get("/healthz").expect(200);
}

#[test]
fn a_certificate_that_cannot_be_used_is_reported() {
    let (env, _) = certified();
    env.write("empty.pem", "");
    let told = |args: &str, words: &[&str]| {
        let told = env.run(&format!("serve --listen 127.0.0.1:0 {args}")).expect(1).stderr;
        assert!(words.iter().all(|word| told.contains(word)) && !told.contains("panicked"), "{args}: {told}");
    };
    told("--tls-cert cert.pem --tls-key other.pem", &["`cert.pem` and `other.pem` do not go together"]);
    told("--tls-cert nowhere.pem --tls-key key.pem", &["cannot read `nowhere.pem`", "No such file"]);
    told("--tls-cert cert.pem --tls-key nowhere.pem", &["cannot read `nowhere.pem`", "No such file"]);
    told("--tls-cert cert.pem --tls-key cert.pem", &["cannot read `cert.pem`"]);
    told("--tls-cert empty.pem --tls-key key.pem", &["`empty.pem`"]);
    told("--tls-cert key.pem --tls-key key.pem", &["`key.pem`"]);
    env.run("serve --tls-cert cert.pem").expect(64);
}

#[test]
fn an_address_in_use_is_reported() {
    let env = TestEnv::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let told = env.run(&format!("serve --listen {address}")).expect(1).stderr;
    assert!(told.contains(&format!("error: cannot listen on {address}")) && told.contains("in use"), "{told}");
    assert!(!told.contains("panicked"), "{told}");
}

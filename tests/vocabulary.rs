//! The vocabulary itself: what client and upstream see of each other, without a gateway between.

use std::time::Duration;

use crate::support::client::Client;
use crate::support::upstream;

#[test]
fn a_client_reads_answers_one_after_another() {
    let service = upstream::answers(|seen| upstream::ok(format!("{} {}", seen.method, seen.target)));
    let mut client = Client::connect(service.address());
    assert_eq!(client.get("/a").text(), "GET /a");
    client.send("GET /b HTTP/1.1\r\nhost: x\r\n\r\nGET /c HTTP/1.1\r\nhost: x\r\n\r\n");
    assert_eq!(client.answer().text(), "GET /b");
    assert_eq!(client.answer().text(), "GET /c");
    assert_eq!((service.calls(), service.connections()), (3, 1));
}

#[test]
fn chunks_trailers_and_interim_answers_are_understood_both_ways() {
    let service = upstream::answers(|seen| {
        assert_eq!(seen.trailers, [("sum".to_owned(), "7".to_owned())]);
        let head = "HTTP/1.1 103 Early\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        format!("{head}{:x}\r\n{}\r\n0\r\nend: yes\r\n\r\n", seen.body.len(), String::from_utf8_lossy(&seen.body))
            .into()
    });
    let mut client = Client::connect(service.address());
    client.send(
        "POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n1\r\nd\r\n0\r\nsum: 7\r\n\r\n",
    );
    let answer = client.answer();
    assert_eq!((answer.text(), answer.interim.as_slice()), ("abcd", [103].as_slice()));
    assert_eq!(answer.trailers, [("end".to_owned(), "yes".to_owned())]);
}

#[test]
fn a_reset_a_close_and_silence_are_told_apart() {
    let service = upstream::serve(|conn| match conn.head().unwrap().target.as_str() {
        "/reset" => conn.reset(),
        "/close" => {}
        _ => conn.linger(),
    });
    for target in ["/reset", "/close"] {
        let mut client = Client::connect(service.address());
        client.send(format!("GET {target} HTTP/1.1\r\nhost: x\r\n\r\n"));
        assert!(client.closed());
    }
    let mut client = Client::connect(service.address());
    client.send("GET / HTTP/1.1\r\nhost: x\r\n\r\n");
    assert!(client.silent(Duration::from_millis(20)));
}

#[test]
#[should_panic(expected = "no trailing slash please")]
fn a_service_that_panics_fails_its_test() {
    let service = upstream::answers(|seen| {
        assert!(!seen.target.ends_with('/'), "no trailing slash please");
        upstream::ok("")
    });
    let mut client = Client::connect(service.address());
    client.send("GET / HTTP/1.1\r\nhost: x\r\n\r\n");
    assert!(client.closed());
}

#[test]
#[should_panic(expected = "both framings")]
fn an_answer_with_two_framings_fails_its_test() {
    let service = upstream::answers(|_| {
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n".to_vec()
    });
    Client::connect(service.address()).get("/x");
}

#[test]
#[should_panic(expected = "closed at 2 of 5")]
fn a_body_that_is_cut_fails_its_test() {
    let service = upstream::serve(|conn| {
        conn.request();
        conn.send("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nab");
    });
    Client::connect(service.address()).get("/x");
}

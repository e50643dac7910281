use super::*;

fn question() -> Vec<u8> {
    query(7, "api.test", A).unwrap()
}

/// An answer to [`question`] with this code and these records.
fn said(code: u8, records: &[&[u8]]) -> Vec<u8> {
    let query = question();
    let count = u16::try_from(records.len()).unwrap().to_be_bytes();
    [&query[..2], &[0x81, 0x80 | code, 0, 1], &count, &[0; 4], &query[12..], &records.concat()].concat()
}

/// A record; the name is that of the question (a pointer) unless told otherwise.
fn record(name: &[u8], kind: u16, lifetime: u32, data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(data.len()).unwrap();
    [name, &kind.to_be_bytes(), &[0, 1], &lifetime.to_be_bytes(), &length.to_be_bytes(), data].concat()
}

const SAME: &[u8] = &[0xc0, 12];

#[test]
fn a_question_is_a_name_and_a_type() {
    let wanted = b"\0\x07\x01\0\0\x01\0\0\0\0\0\0\x03api\x04test\0\0\x01\0\x01";
    assert_eq!(question(), wanted);
    assert_eq!(query(7, "api.test.", A).unwrap(), wanted);
    let long = ["a"; 130].join(".");
    for wrong in ["", "a..b", ".a", &"a".repeat(64), &long] {
        assert!(query(7, wrong, A).is_err(), "{wrong}");
    }
}

#[test]
fn addresses_of_both_families_come_with_the_shortest_lifetime() {
    let six: IpAddr = "2001:db8::1".parse().unwrap();
    let IpAddr::V6(octets) = six else { unreachable!() };
    let records = [record(SAME, A, 30, &[10, 0, 0, 1]), record(SAME, AAAA, 20, &octets.octets())];
    let answer = answer(&said(0, &[&records[0], &records[1]]), &question()).unwrap();
    let (data, lifetime) = answer.of("API.test.");
    assert_eq!(data, [&Data::Address("10.0.0.1".parse().unwrap()), &Data::Address(six)]);
    assert_eq!((lifetime, answer.code), (20, 0));
    assert_eq!(answer.of("other.test").0.len(), 0, "records of other names are not believed");
}

#[test]
fn aliases_are_followed_and_bound_the_lifetime() {
    let alias = record(SAME, CNAME, 5, b"\x01b\xc0\x10");
    let own = record(b"\x01B\x04test\0", A, 60, &[10, 0, 0, 2]);
    let answer = answer(&said(0, &[&own, &alias]), &question()).unwrap();
    assert_eq!(answer.of("api.test"), (vec![&Data::Address("10.0.0.2".parse().unwrap())], 5));
    let round = record(SAME, CNAME, 5, SAME);
    assert_eq!(super::answer(&said(0, &[&round]), &question()).unwrap().of("api.test").0.len(), 0);
}

#[test]
fn services_have_a_port_and_a_target() {
    let data = b"\0\x01\0\x02\x1f\x90\x01a\xc0\x10";
    let answer = answer(&said(0, &[&record(SAME, SRV, 9, data)]), &question()).unwrap();
    let wanted = Data::Service { priority: 1, weight: 2, port: 8080, target: "a.test".into() };
    assert_eq!(answer.of("api.test"), (vec![&wanted], 9));
}

#[test]
fn what_answers_another_question_is_no_answer() {
    let fine = said(3, &[]);
    assert_eq!(answer(&fine, &question()).unwrap().code, 3);
    for at in [0, 1, 2, 5, 14, 23] {
        let mut bent = fine.clone();
        bent[at] ^= 0x80;
        assert_eq!(answer(&bent, &question()), None, "at {at}");
    }
    let mut more = fine;
    more[2] |= 2;
    assert!(answer(&more, &question()).unwrap().truncated);
}

#[test]
fn what_makes_no_sense_is_refused_and_ends() {
    let whole = said(0, &[&record(SAME, SRV, 9, b"\0\x01\0\x02\x1f\x90\x01a\xc0\x10")]);
    for length in 0..whole.len() {
        assert_eq!(answer(&whole[..length], &question()), None, "cut at {length}");
    }
    let here = u8::try_from(question().len()).unwrap();
    for name in [&[0xc0, here][..], &[0xc0, 0xff], &[0xff, 0xff], &[0x80, 1], &[63, 1], &[1, 0xff, 0]] {
        assert_eq!(answer(&said(0, &[&record(name, A, 1, &[10, 0, 0, 1])]), &question()), None, "{name:?}");
    }
    // an address of the wrong size, and a type nobody asked for, are passed over
    let odd = [record(SAME, A, 1, &[10, 0, 0]), record(SAME, 16, 1, b"\x01x"), record(SAME, A, 1, &[10, 0, 0, 1])];
    let odd: Vec<_> = odd.iter().map(Vec::as_slice).collect();
    assert_eq!(answer(&said(0, &odd), &question()).unwrap().of("api.test").0.len(), 1);
}

proptest::proptest! {
    #[test]
    fn no_bytes_bring_it_down(bytes: Vec<u8>) {
        let _ = answer(&[&said(0, &[])[..], &bytes].concat(), &question());
        let _ = answer(&bytes, &question());
    }
}

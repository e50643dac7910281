//! Hashes of every kind, files of them, names that nobody has.

use super::*;

/// "secret", cost 4.
const BCRYPT: &str = "$2b$04$......................";

fn bcrypt_hash(password: &str) -> String {
    bcrypt::hash_with_salt(password, 4, [7; 16]).unwrap().to_string()
}

fn argon2_hash(password: &str) -> String {
    use argon2::PasswordHasher;
    let params = argon2::Params::new(64, 1, 1, None).unwrap();
    let salt = argon2::password_hash::SaltString::encode_b64(&[7; 16]).unwrap();
    let argon2 = Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params);
    argon2.hash_password(password.as_bytes(), &salt).unwrap().to_string()
}

#[test]
fn every_kind_knows_its_password() {
    let bcrypt = bcrypt_hash("secret");
    let kinds = [
        (b"secret".to_vec(), false),
        (b"{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=".to_vec(), false),
        (bcrypt.clone().into_bytes(), true),
        (bcrypt.replace("$2b$", "$2y$").into_bytes(), true),
        (argon2_hash("secret").into_bytes(), true),
    ];
    for (text, slow) in kinds {
        let stored = Stored::parse(&text).unwrap();
        let shown = String::from_utf8_lossy(&text).into_owned();
        assert_eq!(
            (stored.is_slow(), stored.verify(b"secret"), stored.verify(b"Secret"), stored.verify(b"")),
            (slow, true, false, false),
            "{shown}"
        );
        assert!(text == b"secret" || !stored.verify(&text), "{shown}: the hash is no password");
    }
}

#[test]
fn what_is_no_hash_is_named() {
    let fault = |text: &str| Stored::parse(text.as_bytes()).err();
    assert_eq!(fault(""), Some(PasswordError::Empty));
    for text in [BCRYPT, "$2b$10$", "$2y$xx$aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"] {
        assert_eq!(fault(text), Some(PasswordError::Bcrypt), "{text}");
    }
    for text in ["$argon2", "$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHQ"] {
        assert_eq!(fault(text), Some(PasswordError::Argon2), "{text}");
    }
    assert_eq!(fault("{SHA}abc"), Some(PasswordError::Sha1));
    assert_eq!(fault("$apr1$r31.....$HqJZimcKQFAMYayBlzkrA/"), Some(PasswordError::Kind));
    assert_eq!(fault("$6$salt$hash"), Some(PasswordError::Kind));
    assert!(Stored::parse(b"$ecret").unwrap().verify(b"$ecret"));
}

#[test]
fn a_file_has_a_name_a_line() {
    let mut users = Users::default();
    let text = format!("# people\r\nann:{}\r\n\nbob:{{SHA}}5en6G6MezRroT3XKqkdPOmY/BfQ=\n", bcrypt_hash("a"));
    users.add_file(text.as_bytes()).unwrap();
    assert_eq!(users.len(), 2);
    assert!(users.find("bob").0.unwrap().verify(b"secret") && users.find("ann").0.unwrap().verify(b"a"));
    let fault = |text: &str| Users::default().add_file(text.as_bytes()).unwrap_err();
    assert_eq!(fault("\nann"), (2, PasswordError::Line));
    assert_eq!(fault("ann:plain"), (1, PasswordError::Kind), "a plain password in a file is a mistake");
    let twice = "ann:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n".repeat(2);
    assert_eq!(fault(&twice), (2, PasswordError::Twice));
}

#[test]
fn a_name_that_nobody_has_costs_what_a_slow_one_costs() {
    let mut users = Users::default();
    users.add("ann", Stored::parse(b"plain").unwrap()).unwrap();
    users.add("bob", Stored::parse(bcrypt_hash("b").as_bytes()).unwrap()).unwrap();
    let (stored, there) = users.find("nobody");
    assert!(stored.unwrap().is_slow() && !there);
    assert!(users.decoy().is_some() && users.find("ann").1);
    let (stored, there) = Users::default().find("nobody");
    assert!(stored.is_none() && !there);
    let before = users.print();
    users.add("cid", Stored::parse(b"c").unwrap()).unwrap();
    assert_ne!(before, users.print());
}

#[test]
fn who_was_verified_is_known_by_all_three_and_the_oldest_go() {
    let verified = Verified::new(2, vec![1; 32]);
    let (stored, other) = (Stored::parse(b"x").unwrap(), Stored::parse(b"y").unwrap());
    verified.note("ann", b"pw", &stored);
    assert!(verified.knows("ann", b"pw", &stored));
    for (name, password, stored) in
        [("an", &b"npw"[..], &stored), ("ann", b"p", &stored), ("ann", b"pw", &other), ("bob", b"pw", &stored)]
    {
        assert!(!verified.knows(name, password, stored), "{name}");
    }
    verified.note("bob", b"pw", &stored);
    assert!(verified.knows("ann", b"pw", &stored));
    verified.note("cid", b"pw", &stored);
    assert!(!verified.knows("bob", b"pw", &stored) && verified.knows("ann", b"pw", &stored));
    let none = Verified::new(0, Vec::new());
    none.note("ann", b"pw", &stored);
    assert!(!none.knows("ann", b"pw", &stored));
}

#[test]
fn credentials_are_read_and_nothing_else() {
    let read =
        |text: &str| credentials(text.as_bytes()).map(|(name, password)| (name, String::from_utf8(password).unwrap()));
    // "ann:a:b", "ann:", ":"
    assert_eq!(read("Basic YW5uOmE6Yg=="), Some(("ann".into(), "a:b".into())));
    assert_eq!(read("basic  YW5uOg"), Some(("ann".into(), String::new())));
    assert_eq!(read("Basic Og=="), Some((String::new(), String::new())));
    for text in
        ["", "Basic", "Basic ", "Basic YW5u", "Basic !!", "Bearer YW5uOg==", "Basic /w==", "Basic /zp4", "Bäsic x"]
    {
        assert_eq!(read(text), None, "{text}");
    }
}

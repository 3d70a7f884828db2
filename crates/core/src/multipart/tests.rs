use proptest::prelude::*;

use super::*;

fn boundary() -> Boundary {
    Boundary::of("multipart/form-data; boundary=XX").expect("is valid")
}

/// What a form says, as it is found by taking it apart at every boundary.
fn naive(body: &str) -> Vec<(String, bool, String)> {
    let inner = body
        .strip_prefix("--XX\r\n")
        .and_then(|rest| rest.strip_suffix("\r\n--XX--\r\n"));
    let parts = inner.expect("is well-formed").split("\r\n--XX\r\n");
    let read = |part: &str| {
        let (head, value) = part.split_once("\r\n\r\n").expect("has a value");
        let (_, name) = head.split_once("; name=\"").expect("has a name");
        let (name, _) = name.split_once('"').expect("ends");
        (
            name.to_owned(),
            head.contains("filename="),
            value.to_owned(),
        )
    };
    parts.map(read).collect()
}

fn wrong(body: &str) -> Malformed {
    parts(body.as_bytes(), &boundary()).expect_err("is refused")
}

const FIELD: &str = "--XX\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nb\r\n";

#[test]
fn a_boundary_is_taken_as_clients_write_it_and_written_the_plain_way() {
    for (content_type, expected) in [
        (
            "multipart/form-data; boundary=----WebKitFormBoundaryAb1",
            "multipart/form-data; boundary=----WebKitFormBoundaryAb1",
        ),
        (
            "Multipart/Form-Data; charset=utf-8; Boundary=\"a b:c\"",
            "multipart/form-data; boundary=\"a b:c\"",
        ),
        (
            "multipart/form-data;boundary=x;",
            "multipart/form-data; boundary=x",
        ),
    ] {
        let read = Boundary::of(content_type).expect(content_type);
        assert_eq!(read.content_type(), expected);
    }
    let long = format!("multipart/form-data; boundary={}", "x".repeat(71));
    for content_type in [
        "application/json",
        "multipart/mixed; boundary=x",
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=\"\"",
        "multipart/form-data; boundary=\"x ",
        "multipart/form-data; boundary=\"x \"",
        "multipart/form-data; boundary=x; boundary=y",
        "multipart/form-data; boundary*=x; boundary=y",
        "multipart/form-data; boundary=\"x\\\"y\"",
        "multipart/form-data; boundary=xé",
        &long,
    ] {
        let error = Boundary::of(content_type).expect_err(content_type);
        assert_eq!(error.status(), 400, "{content_type}");
    }
}

#[test]
fn forms_of_every_client_are_read() {
    for header in [
        "Content-Disposition: form-data; name=\"a\"",
        "content-disposition:form-data;name=a",
        "Content-Type: text/plain\r\nContent-Disposition: FORM-DATA; Name=\"a\" ;",
        "Content-Disposition: form-data; name=\"a\"\r\nContent-Transfer-Encoding: 8BIT\r\nContent-Length: 1",
    ] {
        let body = format!("\r\n--XX \t\r\n{header}\r\n\r\nb\r\n--XX--");
        let read = parts(body.as_bytes(), &boundary()).expect(header).parts;
        assert_eq!((read[0].name, read[0].is_file), ("a", false), "{header}");
        assert_eq!(&body[read[0].value.clone()], "b", "{header}");
    }
    for file in [
        "filename=\"x.wav\"",
        "filename=\"\"",
        "filename=\"C:\\x\\y.wav\"",
        "filename=\"a\\\"b;c.wav\"",
        "filename*=utf-8''%C3%A4.wav",
        "filename=ä.wav; size=7",
    ] {
        let body = format!(
            "--XX\r\nContent-Disposition: form-data; name=\"f\"; {file}\r\nContent-Transfer-Encoding: base64\r\n\r\n\r\n--XX--\r\n"
        );
        let read = parts(body.as_bytes(), &boundary()).expect(file).parts;
        assert_eq!((read[0].name, read[0].is_file), ("f", true), "{file}");
        assert!(read[0].value.is_empty());
    }
}

#[test]
fn what_two_parsers_could_read_in_two_ways_is_refused_with_what_and_where() {
    let headed = |header: &str| format!("--XX\r\n{header}\r\n\r\nb\r\n--XX--\r\n");
    let valued = |value: &str| FIELD.replace("\r\n\r\nb", value) + "--XX--";
    for (body, at, words) in [
        (String::new(), 0, "a boundary"),
        ("hello".to_owned(), 0, "a boundary"),
        ("preamble\r\n--XX--".to_owned(), 0, "a boundary"),
        (
            "--XXX\r\n".to_owned(),
            4,
            "the end of the line of a boundary",
        ),
        ("--XX\n".to_owned(), 4, "the end of the line of a boundary"),
        (FIELD.to_owned(), FIELD.len(), "the last boundary"),
        (
            format!("{FIELD}--XX"),
            FIELD.len() + 4,
            "the end of the line of a boundary",
        ),
        (
            format!("{FIELD}--XX--\r\n--XX"),
            FIELD.len() + 8,
            "the end of the body",
        ),
        // A value that ends before its first byte, and boundaries after a bare LF.
        (valued("\r\n"), 50, "CR LF before a boundary"),
        (valued("\r\n\r\nb\n--XX\r\n"), 50, "CR LF before a boundary"),
        (valued("\n\nb"), 46, "CR LF"),
        (
            headed("Content-Disposition: form-data; name=\"a\"\r\n--XX: x"),
            48,
            "a header",
        ),
        (
            headed("Content-Disposition: form-data; name=\"a\"\r\n more"),
            48,
            "a header",
        ),
        (
            headed("Content-Disposition: form-data; name=\"a\"\r\nx\r: y"),
            48,
            "a header",
        ),
        (
            headed("X: y"),
            12,
            "`Content-Disposition: form-data` with a `name`",
        ),
        (
            headed("Content-Disposition: attachment; name=\"a\""),
            6,
            "one `Content-Disposition",
        ),
        (
            headed("Content-Disposition: form-data"),
            6,
            "one `Content-Disposition",
        ),
        (
            headed("Content-Disposition: form-data; name=\"\""),
            6,
            "one `Content-Disposition",
        ),
        (
            headed("Content-Disposition: form-data; name=\"a\"; name=\"b\""),
            6,
            "one `Content-Disposition",
        ),
        (
            headed("Content-Disposition: form-data; name=\"a\"; name*=utf-8''b"),
            6,
            "one `Content-Disposition",
        ),
        (
            headed("Content-Disposition: form-data; name=\"mod\\el\""),
            6,
            "one `Content-Disposition",
        ),
        (
            headed("Content-Disposition: form-data; name=\"f\"; filename=\"x\\\"; name=\"model\""),
            6,
            "one `Content-Disposition",
        ),
        (
            headed(
                "Content-Disposition: form-data; name=\"a\"\r\nContent-Disposition: form-data; name=\"b\"",
            ),
            48,
            "one `Content-Disposition",
        ),
        (
            headed(
                "Content-Disposition: form-data; name=\"a\"\r\nContent-Transfer-Encoding: base64",
            ),
            6,
            "a field without `Content-Transfer-Encoding`",
        ),
        (
            headed(&format!("X: {}", "y".repeat(MAX_HEADERS))),
            6,
            "headers of at most 16 KiB",
        ),
        (
            FIELD.repeat(MAX_PARTS + 1) + "--XX--",
            FIELD.len() * MAX_PARTS,
            "at most 128 parts",
        ),
    ] {
        let found = wrong(&body);
        let shown: String = body.chars().take(200).collect();
        assert_eq!(found.at, at, "{shown}: {found}");
        assert!(found.expected.starts_with(words), "{shown}: {found}");
    }
}

proptest! {
    #[test]
    fn parts_are_those_that_lie_between_the_boundaries(
        fields in prop::collection::vec(
            ("[a-z\\[\\]]{1,9}", any::<bool>(), "(\r|\n|-|X|--X|\r\n-|[a-z]|é){0,12}"), 1..6,
        ),
    ) {
        let mut body = String::new();
        for (name, is_file, value) in &fields {
            let file = if *is_file { "; filename=\"x\"" } else { "" };
            body += &format!("--XX\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n\r\n{value}\r\n");
        }
        body += "--XX--\r\n";
        prop_assume!(fields.iter().all(|(_, _, value)| !value.contains("\n--XX") && !value.starts_with("--XX")));
        let read = parts(body.as_bytes(), &boundary()).expect("is well-formed");
        let found: Vec<_> = read.parts.iter()
            .map(|part| (part.name.to_owned(), part.is_file, body[part.value.clone()].to_owned()))
            .collect();
        prop_assert_eq!(found, naive(&body));
        // The parts and the last boundary are all there is.
        let mut at = 0;
        for part in &read.parts {
            prop_assert_eq!(part.whole.start, at);
            at = part.whole.end;
        }
        prop_assert_eq!(&body[at..], "--XX--\r\n");
        prop_assert_eq!(read.close, at);
    }

    #[test]
    fn any_bytes_are_parts_or_an_error_within_the_body(
        body in "(--XX|--XX--|\r\n|\n|\r|Content-Disposition: form-data; |name=|\"a\"|; |filename=x|:|[a-z ]|\\PC){0,30}",
    ) {
        match parts(body.as_bytes(), &boundary()) {
            Ok(read) => prop_assert!(read.parts.iter().all(|part| part.value.end <= read.close)),
            Err(wrong) => prop_assert!(wrong.at <= body.len()),
        }
    }
}

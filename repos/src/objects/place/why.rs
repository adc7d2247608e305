//! The cause of a failed request, on one line: the layers of a client repeat each other, and servers answer in XML.

use std::error::Error;

/// The request and the innermost cause, such as `GET http://…: NoSuchBucket: The specified bucket does not exist`.
pub(super) fn cause(error: &(dyn Error + 'static)) -> String {
    let texts: Vec<String> = chain(error).map(ToString::to_string).collect();
    let last = texts.last().map_or("", String::as_str);
    let said = match (tag(last, "Code"), tag(last, "Message")) {
        (Some(code), Some(message)) => format!("{code}: {message}"),
        (Some(code), None) => code.to_owned(),
        _ => last.lines().next().unwrap_or_default().to_owned(),
    };
    match texts.iter().find_map(|text| request(text)) {
        Some(request) if !said.contains(request) => format!("{request}: {said}"),
        _ => said,
    }
}

fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    let mut next = Some(error);
    std::iter::from_fn(move || {
        let error = next?;
        next = error.source();
        Some(error)
    })
}

/// The request that a text mentions: `… performing GET http://… in 3 ms …`.
fn request(text: &str) -> Option<&str> {
    text.split_once("performing ")?.1.split_once(" in ").map(|(request, _)| request)
}

fn tag<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.split_once(&format!("<{name}>"))?.1.split_once(&format!("</{name}>")).map(|(inside, _)| inside)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("Generic S3 error: {source}")]
    struct Outer {
        source: Inner,
    }

    #[derive(Debug, thiserror::Error)]
    #[error("Error performing PUT http://host/b/x in 3.6ms - {0}")]
    struct Inner(#[source] std::io::Error);

    #[test]
    fn a_cause_is_one_line() {
        let said = |text: &str| cause(&Outer { source: Inner(std::io::Error::other(text.to_owned())) });
        let xml =
            "Server returned 404: <?xml?>\n<Error><Code>NoSuchBucket</Code><Message>It is not there</Message></Error>";
        assert_eq!(said(xml), "PUT http://host/b/x: NoSuchBucket: It is not there");
        assert_eq!(said("Connection refused"), "PUT http://host/b/x: Connection refused");
        assert_eq!(cause(&std::io::Error::other("disk\nfull")), "disk");
    }
}

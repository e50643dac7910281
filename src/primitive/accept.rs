//! Content negotiation (RFC 9110 §12.5.1): which of the types on offer a client would rather have.

use crate::http::coding;

/// The index of the offer the client likes best, the earlier among equals; `None` when it takes none of them.
///
/// An offer is a media type or a short name (`json`, `html`, `text`, `xml` …). Without a field every type is fine.
pub fn negotiate(field: Option<&str>, offers: &[&str]) -> Option<usize> {
    let Some(field) = field.filter(|field| !field.trim().is_empty()) else { return (!offers.is_empty()).then_some(0) };
    let ranges: Vec<Range<'_>> = field.split(',').take(MOST_RANGES).filter_map(Range::parse).collect();
    let mut best: Option<(usize, u16)> = None;
    for (index, offer) in offers.iter().enumerate() {
        let quality = quality(&ranges, media_type(offer));
        if quality > best.map_or(0, |(_, quality)| quality) {
            best = Some((index, quality));
        }
    }
    best.map(|(index, _)| index)
}

/// The media type that a short name stands for.
pub fn media_type(offer: &str) -> &str {
    match offer {
        "json" => "application/json",
        "html" => "text/html",
        "text" => "text/plain",
        "xml" => "application/xml",
        "css" => "text/css",
        "csv" => "text/csv",
        "js" => "text/javascript",
        "form" => "application/x-www-form-urlencoded",
        "multipart" => "multipart/form-data",
        "bin" => "application/octet-stream",
        "png" => "image/png",
        "jpeg" | "jpg" => "image/jpeg",
        "svg" => "image/svg+xml",
        "pdf" => "application/pdf",
        "sse" => "text/event-stream",
        "problem" => "application/problem+json",
        other => other,
    }
}

struct Range<'a> {
    kind: &'a str,
    subtype: &'a str,
    params: Vec<(&'a str, &'a str)>,
    /// In thousandths.
    quality: u16,
}

impl<'a> Range<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let mut pieces = text.split(';').map(str::trim);
        let (kind, subtype) = match pieces.next()? {
            "*" => ("*", "*"),
            range => range.split_once('/')?,
        };
        let mut range = Self { kind, subtype, params: Vec::new(), quality: 1000 };
        for piece in pieces {
            let Some((name, value)) = piece.split_once('=') else { continue };
            if name.trim().eq_ignore_ascii_case("q") {
                range.quality = coding::quality(value.trim())?;
                break;
            }
            range.params.push((name.trim(), value.trim().trim_matches('"')));
        }
        Some(range)
    }

    /// How exactly it names `offer`; `None` when it does not.
    fn exactness(&self, offer: &str) -> Option<usize> {
        let mut pieces = offer.split(';').map(str::trim);
        let (kind, subtype) = pieces.next()?.split_once('/')?;
        let offered: Vec<(&str, &str)> = pieces.filter_map(|piece| piece.split_once('=')).collect();
        let same = |left: &str, right: &str| left.eq_ignore_ascii_case(right);
        if self.kind == "*" {
            return (self.subtype == "*").then_some(0);
        }
        if !same(self.kind, kind) {
            return None;
        }
        if self.subtype == "*" {
            return Some(1);
        }
        let has = |(name, value): &(&str, &str)| {
            offered.iter().any(|(own, text)| same(own.trim(), name) && same(text.trim().trim_matches('"'), value))
        };
        (same(self.subtype, subtype) && self.params.iter().all(has)).then(|| 2 + self.params.len())
    }
}

/// The quality of the most exact range that names `offer`, 0 when none does.
fn quality(ranges: &[Range<'_>], offer: &str) -> u16 {
    let exact = ranges.iter().filter_map(|range| range.exactness(offer).map(|exactness| (exactness, range.quality)));
    exact.max().map_or(0, |(_, quality)| quality)
}

const MOST_RANGES: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(field: &str, offers: &[&'static str]) -> Option<&'static str> {
        negotiate(Some(field), offers).map(|index| offers[index])
    }

    #[test]
    fn the_best_liked_offer_wins() {
        for (field, expected) in [
            ("application/json", Some("json")),
            ("text/html, application/json;q=0.9", Some("html")),
            ("text/html;q=0.5, application/json;q=0.9", Some("json")),
            ("*/*", Some("json")),
            ("text/*", Some("html")),
            ("text/html;q=0, */*", Some("json")),
            ("application/json;q=0, */*;q=0.1", Some("html")),
            ("TEXT/HTML", Some("html")),
            ("image/png", None),
            ("*", Some("json")),
            ("*/*;q=0", None),
            ("nonsense", None),
            ("application/json;q=2, text/html", Some("html")),
            ("text/html;level=1, application/json;q=0.1", Some("json")),
        ] {
            assert_eq!(chosen(field, &["json", "html"]), expected, "{field}");
        }
    }

    #[test]
    fn without_a_field_the_first_offer_is_fine() {
        assert_eq!(negotiate(None, &["json"]), Some(0));
        assert_eq!(negotiate(Some(" "), &["json"]), Some(0));
        assert_eq!(negotiate(None, &[]), None);
    }

    #[test]
    fn parameters_are_compared() {
        let offers = ["text/html", "text/html; level=1"];
        assert_eq!(negotiate(Some("text/html;q=0.4, text/html;level=\"1\""), &offers), Some(1));
    }
}

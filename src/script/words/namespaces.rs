//! Words that are policies and namespaces in one: `cache { … }` and `cache.get`, `jwt { … }` and `jwt.verify`.

/// Word, and its functions: form and doc.
const NAMESPACES: &[(&str, &[(&str, &str)])] = &[
    (
        "cache",
        &[
            (
                "cache.get(key) → value",
                "a value that was set or remembered and is fresh, else nil; seen by all workers, kept across reloads",
            ),
            ("cache.set(key, value, ttl, { tags })", "keeps plain data for so long; nil takes it out"),
            (
                "cache.remember(key, ttl, fn, { tags, stale }) → value",
                "gets, or loads by fn() → value, ttl?: once for all who ask, over all workers, outliving whoever asked first; nil and failures reach all who wait and are not kept; with stale the old value is served so much longer while it is loaded anew",
            ),
            ("cache.delete(key) → boolean", "takes a value out; whether there was one"),
            (
                "cache.purge(tag, …, { hard, prefix, key }) → n",
                "forgets answers and values by tag (\"*\": all), answers also by prefix of their path and by key (a route's own, or an address \"http://host/path?query\"); softly: what is stored is served while it is asked for again, as far as `stale` goes; hard: at once. n: how many of these it was told, not how many answers there were. on(\"purge\", fn) hears of it",
            ),
            (
                "cache.space \"name\" { max } → space",
                "a space of its own, 128MB unless told; functions of the same names: space:get(key) …",
            ),
        ],
    ),
    (
        "jwt",
        &[
            (
                "jwt.verify(token, { secret, key, jwks, discovery, issuer, audience, … }) → claims",
                "one of secret, key, jwks and discovery; else as the policy's options. The claims, or nil and why not; waits only where keys must be fetched first",
            ),
            (
                "jwt.sign(claims, { secret, key, algorithm, kid, typ, expires }) → token",
                "with a secret, or a private key in PEM; expires sets exp and iat",
            ),
            ("jwt.decode(token) → { header, claims }", "what it says, believed or not; nil and why where it is none"),
        ],
    ),
];

/// The functions of a policy's word.
pub fn functions(word: &str) -> &'static [(&'static str, &'static str)] {
    NAMESPACES.iter().find(|(name, _)| *name == word).map_or(&[], |(_, functions)| *functions)
}

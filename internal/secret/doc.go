// Package secret keeps secrets secret: encryption at rest ([Box], [Key]), values that do not print themselves
// ([String]), masks for answers ([Mask]), and random credentials ([APIKey], [Password]) with the means to look them up
// ([Hash]) and compare them ([Equal]).
//
// A sealed value is laid out as
//
//	offset  length  content
//	0       1       format version, 1
//	1       12      nonce, random for each value
//	13      n       ciphertext, as long as the plaintext
//	13+n    16      GCM tag
//
// under AES-256-GCM. The version and the caller's purpose are authenticated but not stored, so that a value that was
// moved to another column, or whose version byte was changed, does not open. With random nonces one key is good for
// 2^32 values (NIST SP 800-38D, section 8.3).
//
// Invariants: no error, log line or formatted value of this package contains a secret, or a part of one beyond the four
// characters of a mask. The package imports nothing else of this module.
package secret

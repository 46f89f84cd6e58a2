/* Base64 without leniency; see b64.h. */
#include "audit/b64.h"

#include <sodium.h>
#include <string.h>

int b64_decode(unsigned char *out, size_t cap, const char *p, size_t n, size_t *got)
{
	static const char alphabet[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=";

	/* libsodium 1.0.18 takes some bytes above 127 for digits. */
	for (size_t i = 0; i < n; i++) {
		if (!memchr(alphabet, p[i], sizeof alphabet - 1))
			return -1;
	}
	return sodium_base642bin(out, cap, p, n, NULL, got, NULL, sodium_base64_VARIANT_ORIGINAL);
}

size_t b64_encode(char *out, size_t cap, const unsigned char *p, size_t n)
{
	sodium_bin2base64(out, cap, p, n, sodium_base64_VARIANT_ORIGINAL);
	return strlen(out);
}

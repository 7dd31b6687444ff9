/* SPDX-License-Identifier: MIT */
#include "recording.h"

#define POLYNOMIAL 0xedb88320u /* of CRC-32, its lowest power in the highest bit */

/* Its first byte is no text, and its last two change when a transfer changes ends of lines. */
const unsigned char recording_magic[8] = {0x89, 'W', 'W', 'R', 'E', 'C', '\r', '\n'};

static uint32_t update(uint32_t sum, const unsigned char *bytes, size_t length)
{
	static uint32_t table[256];

	for (uint32_t i = 0; !table[255] && i < 256; i++) {
		uint32_t value = i;

		for (int bit = 0; bit < 8; bit++)
			value = value & 1 ? value >> 1 ^ POLYNOMIAL : value >> 1;
		table[i] = value;
	}
	for (size_t i = 0; i < length; i++)
		sum = sum >> 8 ^ table[(sum ^ bytes[i]) & 0xff];
	return sum;
}

uint32_t recording_checksum(const unsigned char *frame, const unsigned char *payload, size_t length)
{
	return ~update(update(~0u, frame, 8), payload, length);
}

void recording_put32(unsigned char *to, uint32_t value)
{
	for (int i = 0; i < 4; i++)
		to[i] = (unsigned char)(value >> 8 * i);
}

uint32_t recording_get32(const unsigned char *from)
{
	uint32_t value = 0;

	for (int i = 0; i < 4; i++)
		value |= (uint32_t)from[i] << 8 * i;
	return value;
}

/* The bytes of the character at the beginning of a text, or 0 if there is none that prints. */
static size_t character(const unsigned char *text, size_t left)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t length = text[0] < 0x80 ? 1 : text[0] < 0xe0 ? 2 : text[0] < 0xf0 ? 3 : 4;
	uint32_t code;

	if (length == 1)
		return text[0] >= 0x20 && text[0] != 0x7f;
	if (text[0] < 0xc0 || text[0] > 0xf7 || length > left)
		return 0;
	code = text[0] & (0x7fu >> length);
	for (size_t i = 1; i < length; i++) {
		if ((text[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (text[i] & 0x3f);
	}
	/* Not the shortest form, C1 controls, surrogates, what XML forbids, beyond Unicode. */
	if (code < least[length] || code < 0xa0 || (code >= 0xd800 && code < 0xe000) ||
	    (code & 0xfffe) == 0xfffe || code > 0x10ffff)
		return 0;
	return length;
}

void recording_clean(char *text, size_t length)
{
	size_t i = 0;

	while (i < length) {
		size_t step = character((unsigned char *)text + i, length - i);

		if (!step)
			text[i] = '?';
		i += step ? step : 1;
	}
}

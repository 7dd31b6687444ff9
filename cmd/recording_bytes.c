/* SPDX-License-Identifier: MIT */
#include "recording_bytes.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define STEP (64u << 10)

int recording_refuse(struct recording_reader *r, uint64_t offset, const char *format, ...)
{
	va_list args;

	if (!r->problem.text[0]) {
		r->problem.offset = offset;
		va_start(args, format);
		vsnprintf(r->problem.text, sizeof(r->problem.text), format, args);
		va_end(args);
	}
	return -EBADMSG;
}

int recording_refuse_here(struct recording_reader *r, const char *what)
{
	size_t left = (size_t)(r->end - r->at);

	r->at = r->end;
	return recording_refuse(r, r->offset - left, "%s", what);
}

int recording_truncated(struct recording_reader *r, const char *within)
{
	if (ferror(r->file))
		return errno ? -errno : -EIO;
	recording_refuse(r, r->offset, "the file ends within %s", within);
	r->problem.truncated = true;
	return 0;
}

uint64_t recording_number(struct recording_reader *r)
{
	uint64_t value = 0;

	for (unsigned shift = 0; r->at < r->end; shift += 7) {
		unsigned char byte = *r->at++;

		if (shift == 63 && byte > 1)
			break;
		value |= (uint64_t)(byte & 0x7f) << shift;
		if (byte < 0x80)
			return value;
	}
	recording_refuse_here(r, "a number does not fit into its record, or into 64 bits");
	return 0;
}

/* The text moves over its length, one byte down, so that there is room for its end. */
char *recording_text(struct recording_reader *r)
{
	uint64_t length = recording_number(r);
	char *text;

	if (length > RECORDING_MAX_TEXT || length > (size_t)(r->end - r->at)) {
		recording_refuse_here(r, "a text is longer than its record, or than can be");
		length = 0;
	}
	if (r->problem.text[0])
		return NULL;
	text = (char *)r->payload + (r->at - r->payload) - 1;
	memmove(text, text + 1, length);
	text[length] = '\0';
	recording_clean(text, length);
	r->at += length;
	return text;
}

/* What is claimed in the frame is not believed before as much has come. */
static int get_payload(struct recording_reader *r, size_t length)
{
	size_t have = 0;

	while (have < length) {
		size_t step = have > STEP ? have : STEP;
		size_t want = length - have < step ? length - have : step;

		if (have + want > r->room) {
			unsigned char *larger = realloc(r->payload, have + want);

			if (!larger)
				return -ENOMEM;
			r->payload = larger;
			r->room = have + want;
		}
		if (fread(r->payload + have, 1, want, r->file) != want)
			return recording_truncated(r, "a record");
		have += want;
	}
	return 1;
}

int recording_next(struct recording_reader *r, uint32_t *type)
{
	unsigned char frame[RECORDING_FRAME];
	size_t n = fread(frame, 1, sizeof(frame), r->file);
	uint32_t length;
	int error;

	if (n == 0 && !ferror(r->file))
		return 0;
	if (n < sizeof(frame))
		return recording_truncated(r, "the head of a record");
	*type = recording_get32(frame);
	length = recording_get32(frame + 4);
	if (length > RECORDING_MAX_PAYLOAD)
		return recording_refuse(r, r->offset,
					"a record of %" PRIu32 " bytes, more than can be", length);
	error = get_payload(r, length);
	if (error <= 0)
		return error;
	if (recording_checksum(frame, r->payload, length) != recording_get32(frame + 8))
		return recording_refuse(r, r->offset, "the checksum of a record is wrong");
	r->offset += sizeof(frame) + length;
	r->at = r->payload;
	r->end = r->payload + length;
	return 1;
}

package mail

import (
	"path"
	"strings"
)

// FileType tells the media type of a file by its name. The table is ours so that it does not depend on the machine.
func FileType(filename string) string {
	if t, ok := fileTypes[strings.ToLower(strings.TrimPrefix(path.Ext(strings.TrimSpace(filename)), "."))]; ok {
		return t
	}
	return "application/octet-stream"
}

var fileTypes = map[string]string{
	"avi": "video/x-msvideo", "bmp": "image/bmp", "csv": "text/csv",
	"doc":  "application/msword",
	"docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
	"eml":  "message/rfc822", "gif": "image/gif", "gz": "application/gzip",
	"htm": "text/html", "html": "text/html", "ics": "text/calendar", "jpeg": "image/jpeg", "jpg": "image/jpeg",
	"json": "application/json", "md": "text/markdown", "mov": "video/quicktime", "mp3": "audio/mpeg", "mp4": "video/mp4",
	"odp": "application/vnd.oasis.opendocument.presentation",
	"ods": "application/vnd.oasis.opendocument.spreadsheet",
	"odt": "application/vnd.oasis.opendocument.text",
	"ogg": "audio/ogg", "pdf": "application/pdf", "png": "image/png",
	"ppt":  "application/vnd.ms-powerpoint",
	"pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
	"ps":   "application/postscript", "rtf": "application/rtf", "svg": "image/svg+xml", "tar": "application/x-tar",
	"tif": "image/tiff", "tiff": "image/tiff", "txt": "text/plain", "vcf": "text/vcard", "wav": "audio/wav",
	"webp": "image/webp",
	"xls":  "application/vnd.ms-excel",
	"xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
	"xml":  "application/xml", "zip": "application/zip",
}

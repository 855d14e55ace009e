package event

// Detail is what is known of an event beyond its type. It is stored as JSON; the field names follow SendPost's
// eventMetadata, so that the API can show it as it is.
type Detail struct {
	SMTPCode        int               `json:"smtpCode,omitempty"`
	SMTPDescription string            `json:"smtpDescription,omitempty"`
	UserAgent       *UserAgent        `json:"userAgent,omitempty"`
	OS              *OperatingSystem  `json:"os,omitempty"`
	Device          *Device           `json:"device,omitempty"`
	Geo             *Geo              `json:"geo,omitempty"`
	ClickedURL      string            `json:"clickedURL,omitempty"`
	TrackedIP       string            `json:"trackedIP,omitempty"`
	RawUserAgent    string            `json:"rawUserAgent,omitempty"`
	Provider        map[string]string `json:"provider,omitempty"` // the provider's own fields: RecordType, MessageID, Tag, ... (PM-31)
}

// UserAgent is the program that opened or clicked.
type UserAgent struct {
	Family string `json:"Family"`
	Major  string `json:"Major"`
	Minor  string `json:"Minor"`
	Patch  string `json:"Patch"`
}

// OperatingSystem is what that program ran on.
type OperatingSystem struct {
	Family     string `json:"Family"`
	Major      string `json:"Major"`
	Minor      string `json:"Minor"`
	Patch      string `json:"Patch"`
	PatchMinor string `json:"PatchMinor"`
}

// Device is the kind of machine: Desktop, Mobile, WebMail.
type Device struct {
	Family string `json:"Family"`
}

// Geo is where the IP address of an open or click is registered, in both of SendPost's published spellings.
type Geo struct {
	CityID        string  `json:"cityID"`
	ContinentCode string  `json:"continentCode"`
	CountryCode   string  `json:"countryCode"`
	PostalCode    string  `json:"postalCode"`
	TimeZone      string  `json:"timeZone"`
	City          string  `json:"city"`
	Country       string  `json:"country"`
	Region        string  `json:"region"`
	RegionCode    string  `json:"regionCode"`
	Latitude      float64 `json:"latitude"`
	Longitude     float64 `json:"longitude"`
}

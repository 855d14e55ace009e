// Package event names what can happen to a message, in SendPost's vocabulary.
//
// An event has a kind (what happened), a family (who reported it) and SendPost's numeric type, which is the pair of the two.
// Types are public: they stand in the API, in webhooks and in users' filters, so an id never changes its meaning.
//
// The package is pure: no I/O, no imports of ours.
package event

// Type is SendPost's numeric event type. The zero value is a real type, native Processed.
type Type int

// Kind is what happened, whoever reported it.
type Kind uint8

// The kinds of events.
const (
	Processed        Kind = iota // the API accepted the message
	Sent                         // a provider accepted the message
	Delivered                    // the recipient's server accepted the message
	Deferred                     // the provider is still trying
	Dropped                      // nobody will try any more: suppressed, expired, cancelled or refused for good
	HardBounced                  // the recipient's server refused the address for good
	SoftBounced                  // the recipient's server refused this message, or for now
	Opened                       // the recipient's client loaded the tracking pixel
	Clicked                      // the recipient followed a tracked link
	Unsubscribed                 // the recipient asked for no more mail
	Spam                         // the recipient complained
	GroupUnsubscribe             // SendGrid: left one unsubscribe group
	GroupResubscribe             // SendGrid: joined it again
	RenderingFailure             // Amazon SES: the template could not be rendered
)

// Family tells who reports an event.
type Family uint8

// The families, named as SendPost's event names begin.
const (
	Native     Family = iota // Postyard itself, or mail through the operator's own IPs
	SendGrid                 // SG
	AmazonSES                // SES
	SparkPost                // SP
	Mailgun                  // MG
	CustomSMTP               // CS
	Postmark                 // PM
)

// Info describes one type.
type Info struct {
	Type   Type
	Name   string // SendPost's name: "PM Delivered"
	Family Family
	Kind   Kind
}

// catalogue is SendPost's published list of types.
var catalogue = []Info{
	{0, "Processed", Native, Processed},
	{1, "Dropped", Native, Dropped},
	{2, "Delivered", Native, Delivered},
	{3, "Soft Bounced", Native, SoftBounced},
	{4, "Hard Bounced", Native, HardBounced},
	{5, "Opened", Native, Opened},
	{6, "Clicked", Native, Clicked},
	{7, "Unsubscribed", Native, Unsubscribed},
	{8, "Spam", Native, Spam},
	{9, "Sent", Native, Sent}, // SendPost uses 9 to 13 and does not publish for what; ours for mail that the operator's own mail server took

	{14, "SG Sent", SendGrid, Sent},
	{15, "SG Delivered", SendGrid, Delivered},
	{16, "SG Deferred", SendGrid, Deferred},
	{17, "SG Dropped", SendGrid, Dropped},
	{18, "SG Hard Bounced", SendGrid, HardBounced},
	{19, "SG Soft Bounced", SendGrid, SoftBounced},
	{20, "SG Opened", SendGrid, Opened},
	{21, "SG Clicked", SendGrid, Clicked},
	{22, "SG Spam Report", SendGrid, Spam},
	{23, "SG Unsubscribe", SendGrid, Unsubscribed},
	{24, "SG Group Unsubscribe", SendGrid, GroupUnsubscribe},
	{25, "SG Group Resubscribe", SendGrid, GroupResubscribe},

	{27, "SES Processed", AmazonSES, Sent}, // SES reports its acceptance under this name; there is no other Sent
	{28, "SES Delivered", AmazonSES, Delivered},
	{29, "SES Hard Bounced", AmazonSES, HardBounced},
	{30, "SES Soft Bounced", AmazonSES, SoftBounced},
	{31, "SES Spam Report", AmazonSES, Spam},
	{32, "SES Dropped", AmazonSES, Dropped},
	{33, "SES Open", AmazonSES, Opened},
	{34, "SES Click", AmazonSES, Clicked},
	{35, "SES Rendering Failure", AmazonSES, RenderingFailure},
	{36, "SES Unsubscribe", AmazonSES, Unsubscribed},

	{37, "SP Sent", SparkPost, Sent},
	{38, "SP Delivered", SparkPost, Delivered},
	{39, "SP Deferred", SparkPost, Deferred},
	{40, "SP Dropped", SparkPost, Dropped},
	{41, "SP Hard Bounced", SparkPost, HardBounced},
	{42, "SP Soft Bounced", SparkPost, SoftBounced},
	{43, "SP Opened", SparkPost, Opened},
	{44, "SP Clicked", SparkPost, Clicked},
	{45, "SP Spam Report", SparkPost, Spam},
	{46, "SP Unsubscribe", SparkPost, Unsubscribed},

	{48, "MG Processed", Mailgun, Processed},
	{49, "MG Sent", Mailgun, Sent},
	{50, "MG Delivered", Mailgun, Delivered},
	{51, "MG Hard Bounced", Mailgun, HardBounced},
	{52, "MG Soft Bounced", Mailgun, SoftBounced},
	{53, "MG Dropped", Mailgun, Dropped},
	{54, "MG Opened", Mailgun, Opened},
	{55, "MG Clicked", Mailgun, Clicked},
	{56, "MG Spam Report", Mailgun, Spam},
	{57, "MG Unsubscribe", Mailgun, Unsubscribed},

	{58, "CS Processed", CustomSMTP, Processed},
	{59, "CS Sent", CustomSMTP, Sent},
	{60, "CS Delivered", CustomSMTP, Delivered},
	{61, "CS Deferred", CustomSMTP, Deferred},
	{62, "CS Dropped", CustomSMTP, Dropped},
	{63, "CS Hard Bounced", CustomSMTP, HardBounced},
	{64, "CS Soft Bounced", CustomSMTP, SoftBounced},
	{65, "CS Open", CustomSMTP, Opened},
	{66, "CS Click", CustomSMTP, Clicked},
	{67, "CS Spam Report", CustomSMTP, Spam},
	{68, "CS Unsubscribe", CustomSMTP, Unsubscribed},

	{69, "PM Processed", Postmark, Processed},
	{70, "PM Sent", Postmark, Sent},
	{71, "PM Delivered", Postmark, Delivered},
	{72, "PM Hard Bounced", Postmark, HardBounced},
	{73, "PM Soft Bounced", Postmark, SoftBounced},
	{74, "PM Dropped", Postmark, Dropped}, // reserved by SendPost; ours for a permanent rejection by Postmark
	{75, "PM Open", Postmark, Opened},
	{76, "PM Click", Postmark, Clicked},
	{77, "PM Spam Report", Postmark, Spam},
	{78, "PM Unsubscribe", Postmark, Unsubscribed}, // read back only: the subscription trigger is not registered
}

// Catalogue returns every type, in the order of ids.
func Catalogue() []Info { return append([]Info(nil), catalogue...) }

// Both are asked for every message and every report, so the catalogue is indexed once.
var (
	byType = indexTypes()
	byKind = indexKinds()
)

const (
	types    = 79 // the highest id and one
	families = int(Postmark) + 1
	kinds    = int(RenderingFailure) + 1
)

// named is an entry of an index; published is false for a gap.
type named struct {
	Info
	published bool
}

func indexTypes() (index [types]named) {
	for _, info := range catalogue {
		index[info.Type] = named{info, true}
	}
	return index
}

// indexKinds gives a family that has no type of its own for a kind the native one.
func indexKinds() (index [families][kinds]named) {
	for _, info := range catalogue {
		index[info.Family][info.Kind] = named{info, true}
	}
	for k, native := range index[Native] {
		for f := range index {
			if !index[f][k].published {
				index[f][k] = native
			}
		}
	}
	return index
}

// Describe returns the description of a type; ok is false for an id that SendPost has not published.
func Describe(t Type) (info Info, ok bool) {
	if t < 0 || t >= types {
		return Info{}, false
	}
	return byType[t].Info, byType[t].published
}

// TypeOf returns the type of a kind as its family reports it. A family that has no type of its own for a kind reports it
// as native; ok is false when there is no native type either (native mail has no Sent).
func TypeOf(f Family, k Kind) (t Type, ok bool) {
	if int(f) >= families || int(k) >= kinds {
		return 0, false
	}
	return byKind[f][k].Type, byKind[f][k].published
}

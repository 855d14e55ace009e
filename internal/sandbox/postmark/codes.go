package postmark

// ErrorCodes and texts that more than one place uses.
const (
	codeToken       = 10
	codeMaintenance = 100
	codeUnexpected  = 101
	codeField       = 300
	codeSender      = 400
	codeJSON        = 402
	codeType        = 403
	codeInactive    = 406
	codeBatchSize   = 410
	codeAttachment  = 411
	codePending     = 412
	codeNotApproved = 413

	codeMessagePaging = 700
	codeNoMessage     = 701
	codeBouncePaging  = 1000
	codeNoBounce      = 1001
	codeNotActivated  = 1003

	codeTemplateList     = 1100
	codeNoTemplate       = 1101
	codeTemplateCount    = 1105
	codeNoTemplateData   = 1109
	codeTemplateRequired = 1120
	codeTemplateLong     = 1121
	codeTemplateBad      = 1122
	codeTemplateExcludes = 1123
	codeLayoutUsed       = 1130
	codePlaceholder      = 1131

	codeBulkUnknown = 12
	codeSeveral     = 11
	codeBulkOff     = 14
	codeParameter   = 900

	codeSenderPaging   = 500
	codeNoSender       = 501
	codeNoSenderData   = 502
	codePublicDomain   = 503
	codeSenderExists   = 504
	codeDKIMRenewing   = 505
	codeSenderReady    = 506
	codeNoDomain       = 510
	codeDomainFields   = 511
	codeDomainExists   = 512
	codeDomainRequired = 514
	codeDomainLong     = 515
	codeDomainBad      = 516
	codeSenderRequired = 520
	codeSenderLong     = 521
	codeSenderBad      = 522

	codeServerPaging   = 600
	codeNoServer       = 601
	codeInboundDomain  = 602
	codeServerExists   = 603
	codeServerStays    = 605
	codeServerHook     = 606
	codeServerColor    = 607
	codeServerName     = 608
	codeNoServerData   = 609
	codeSpamThreshold  = 611
	codeServerLinks    = 612
	codeServerDelivery = 613
	codeServerAction   = 615

	codeRulePaging = 800
	codeNoRuleData = 809
	codeRuleExists = 810
	codeNoRule     = 812

	codeTemplatePush      = 1124
	codeTemplatePushTypes = 1125
	codeNotArchived       = 1241

	codeNoRemovalData = 1300
	codeRemovalBad    = 1301
	codeNoRemoval     = 1302

	codeNoStream       = 1226
	codeSendNoStream   = 1235
	codeSendInbound    = 1236
	codeHookArchived   = 1350
	codeHookInbound    = 1351
	codeNoHook         = 1352
	codeHookURL        = 1354
	codeHookNoBody     = 1355
	codeHookIDOnCreate = 1356
	codeHookIDOnEdit   = 1357
	codeHookHeader     = 1358
	codeHookCount      = 1359
	codeHookVerify     = 1364

	codeHookTrigger   = 1353
	codeHookValue     = 1361
	codeHookStatus    = 1362
	codeHookStatusSet = 1363

	textServerToken  = "Request does not contain a valid Server token."
	textAccountToken = "Request does not contain a valid Account token."
	textSender       = "The 'From' address you supplied (%s) is not a Sender Signature on your account. Please add and confirm" +
		" this address in order to be able to use it in the 'From' field of your messages."
	textNotApproved = "This account is not approved to send email."
)

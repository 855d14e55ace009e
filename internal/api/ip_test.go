package api

// takeIPs has the first account take configured IPs, and reads them.
func (w *world) takeIPs(addresses ...string) (list []ipAnswer) {
	w.t.Helper()
	w.asAccount("PUT", "/api/v1/account/ip/allocate", map[string]any{"ips": addresses, "overflowPool": false}).ok(200, nil)
	w.asAccount("GET", "/api/v1/account/ip/", nil).ok(200, &list)
	return list
}

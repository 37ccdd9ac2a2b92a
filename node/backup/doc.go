// Package backup works on backups and data directories without a node: it verifies them, and makes the data directory
// of a member of a new cluster of a backup.
package backup

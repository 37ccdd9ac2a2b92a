{{/*
The name of the RaftCluster. The operator derives all other names from it, so the API server accepts fewer names than Helm
does for a release.
*/}}
{{- define "cluster.name" -}}
{{- $name := default .Release.Name .Values.nameOverride }}
{{- if or (gt (len $name) 40) (not (regexMatch "^[a-z]([-a-z0-9]*[a-z0-9])?$" $name)) }}
{{- fail (printf "the name of the RaftCluster would be %s: a name has at most 40 lower-case letters, digits and dashes, and begins with a letter; set nameOverride" $name) }}
{{- end }}
{{- if or (hasSuffix "-peers" $name) (hasSuffix "-dashboard" $name) }}
{{- fail (printf "the RaftCluster would be called %s: -peers and -dashboard are the ends of the names of Services; set nameOverride" $name) }}
{{- end }}
{{- $name }}
{{- end }}

{{/*
Labels of the objects of this chart, without raft.kontiki.dev/cluster: the cluster's Services select every pod that has it.
*/}}
{{- define "cluster.labels" -}}
{{- $ours := dict "app.kubernetes.io/name" "kontiki" "app.kubernetes.io/instance" (include "cluster.name" .) }}
{{- $_ := set $ours "helm.sh/chart" (printf "%s-%s" .Chart.Name (.Chart.Version | replace "+" "_")) }}
{{- $_ := set $ours "app.kubernetes.io/managed-by" .Release.Service }}
{{- toYaml (merge $ours (omit .Values.commonLabels "raft.kontiki.dev/cluster")) }}
{{- end }}

{{/* Everything under metadata except the name, from a list of the context, extra labels and extra annotations. */}}
{{- define "cluster.metadata" -}}
{{- $context := index . 0 -}}
labels:
  {{- toYaml (merge (deepCopy (index . 1)) (include "cluster.labels" $context | fromYaml)) | nindent 2 }}
{{- with merge (deepCopy (index . 2)) $context.Values.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* The URL of the client Service, from inside the namespace. */}}
{{- define "cluster.url" -}}
{{- printf "http://%s:%d" (include "cluster.name" .) (int (dig "clientService" "port" 8080 .Values.cluster)) }}
{{- end }}

{{- define "cluster.testImage" -}}
{{- .Values.tests.image | default .Values.cluster.image | default (printf "ghcr.io/kontiki-dev/raftnode:%s" .Chart.AppVersion) }}
{{- end }}

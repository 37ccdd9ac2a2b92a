{{/* The app.kubernetes.io/name of every object. */}}
{{- define "operator.name" -}}
{{- default .Chart.Name .Values.nameOverride }}
{{- end }}

{{/*
The name of the objects. 46 characters leave room for the longest ending, -leader-election. A release's name may
have dots and begin with a digit, and the name of a Service may not.
*/}}
{{- define "operator.fullname" -}}
{{- $name := include "operator.name" . }}
{{- $fullname := printf "%s-%s" .Release.Name $name }}
{{- if .Values.fullnameOverride }}
{{- $fullname = .Values.fullnameOverride }}
{{- else if contains $name .Release.Name }}
{{- $fullname = .Release.Name }}
{{- end }}
{{- $fullname = $fullname | replace "." "-" | trunc 46 | trimAll "-" }}
{{- if not (regexMatch "^[a-z]([-a-z0-9]*[a-z0-9])?$" $fullname) }}
{{- fail (printf "the objects would be called %s, and the name of a Service begins with a lower-case letter and has only those, digits and dashes: set fullnameOverride" $fullname) }}
{{- end }}
{{- $fullname }}
{{- end }}

{{/* Labels for selectors of the operator's pods. They must not change, because a selector is immutable. */}}
{{- define "operator.selectorLabels" -}}
app.kubernetes.io/name: {{ include "operator.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* Labels of every object. They take precedence over commonLabels. */}}
{{- define "operator.labels" -}}
{{- $ours := include "operator.selectorLabels" . | fromYaml }}
{{- $_ := set $ours "helm.sh/chart" (printf "%s-%s" .Chart.Name (.Chart.Version | replace "+" "_")) }}
{{- $_ := set $ours "app.kubernetes.io/version" (.Chart.AppVersion | replace "+" "_") }}
{{- $_ := set $ours "app.kubernetes.io/component" "operator" }}
{{- $_ := set $ours "app.kubernetes.io/part-of" "kontiki" }}
{{- $_ := set $ours "app.kubernetes.io/managed-by" .Release.Service }}
{{- toYaml (merge $ours .Values.commonLabels) }}
{{- end }}

{{/*
Everything under metadata except the name, from a list of the context, extra labels and extra annotations: each can be an
empty dict. The extras take precedence over the common ones.
*/}}
{{- define "operator.metadata" -}}
{{- $context := index . 0 -}}
labels:
  {{- toYaml (merge (deepCopy (index . 1)) (include "operator.labels" $context | fromYaml)) | nindent 2 }}
{{- with merge (deepCopy (index . 2)) $context.Values.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* A reference to an image, from a list of its values and the default tag. */}}
{{- define "operator.image" -}}
{{- $image := index . 0 }}
{{- if $image.digest }}
{{- printf "%s@%s" $image.repository $image.digest }}
{{- else }}
{{- printf "%s:%s" $image.repository (default (index . 1) $image.tag) }}
{{- end }}
{{- end }}

{{- define "operator.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "operator.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{/* The operator as the subject of a binding. */}}
{{- define "operator.subjects" -}}
- kind: ServiceAccount
  name: {{ include "operator.serviceAccountName" . }}
  namespace: {{ .Release.Namespace }}
{{- end }}

{{/* The name of everything here: that of the release, with `pv` in it. */}}
{{- define "pv.name" -}}
{{- $name := .Release.Name -}}
{{- if not (contains "pv" $name) -}}{{- $name = printf "%s-pv" $name -}}{{- end -}}
{{- $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{/* What selects the engine's pod. Pods of stages have other labels, which the engine gives them. */}}
{{- define "pv.selector" -}}
app.kubernetes.io/name: pv
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "pv.labels" -}}
{{ include "pv.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{/* The secret with the certificate. */}}
{{- define "pv.tls" -}}
{{- .Values.tls.existingSecret | default (printf "%s-tls" (include "pv.name" .)) -}}
{{- end -}}

{{/* What every container of the engine's pod has. */}}
{{- define "pv.container" -}}
image: {{ .Values.image | quote }}
imagePullPolicy: {{ .Values.imagePullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: { drop: [ALL] }
resources:
  {{- toYaml .Values.resources | nindent 2 }}
{{- with .Values.objects.existingSecret }}
envFrom:
  - secretRef: { name: {{ . | quote }} }
{{- end }}
volumeMounts:
  - { name: store, mountPath: /store }
  - { name: tmp, mountPath: /tmp }
  - { name: tls, mountPath: /tls, readOnly: true }
{{- end -}}

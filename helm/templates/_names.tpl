{{- define "shuniu.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "shuniu.fullname" -}}
{{- $name := include "shuniu.name" . -}}
{{- if .Values.fullnameOverride -}}{{ .Values.fullnameOverride | trunc 40 | trimSuffix "-" }}
{{- else if contains $name .Release.Name -}}{{ .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else -}}{{ printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" }}
{{- end -}}
{{- end -}}

{{- define "shuniu.selector" -}}
app.kubernetes.io/name: {{ include "shuniu.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "shuniu.labels" -}}
{{ include "shuniu.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "shuniu.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}{{ default (include "shuniu.fullname" .) .Values.serviceAccount.name }}
{{- else -}}{{ default "default" .Values.serviceAccount.name }}
{{- end -}}
{{- end -}}

{{- define "shuniu.image" -}}
{{- if .Values.image.digest -}}{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end -}}
{{- end -}}

{{- define "shuniu.secret" -}}
{{- default (include "shuniu.fullname" .) .Values.existingSecret -}}
{{- end -}}

{{- define "shuniu.migrateMode" -}}
{{- if ne .Values.migrate.mode "auto" -}}{{ .Values.migrate.mode }}
{{- else if .Values.postgresql.enabled -}}init
{{- else -}}hook
{{- end -}}
{{- end -}}

{{/* What the schema cannot say: settings that only make sense together. */}}
{{- define "shuniu.check" -}}
{{- $s := .Values.secrets -}}
{{- if .Values.existingSecret -}}
{{- if or $s.databaseUrl $s.redisUrl $s.secretKey $s.postgresPassword -}}
{{- fail "existingSecret 与 secrets 只能二选一 / give existingSecret or secrets, not both" -}}
{{- end -}}
{{- else -}}
{{- if not $s.secretKey -}}
{{- fail "缺少主密钥:请设置 existingSecret,或 secrets.secretKey(至少 32 个字符,务必妥善保存) / set existingSecret, or secrets.secretKey (32 characters at least; keep it safe)" -}}
{{- end -}}
{{- if and (not .Values.postgresql.enabled) (not $s.databaseUrl) -}}
{{- fail "缺少数据库:请设置 existingSecret 或 secrets.databaseUrl;试用可设 postgresql.enabled=true / no database: set existingSecret or secrets.databaseUrl; for a trial postgresql.enabled=true" -}}
{{- end -}}
{{- if and .Values.postgresql.enabled (not $s.postgresPassword) -}}
{{- fail "请设置 secrets.postgresPassword / set secrets.postgresPassword" -}}
{{- end -}}
{{- if and (not .Values.valkey.enabled) (not $s.redisUrl) -}}
{{- fail "缺少 Redis:请设置 existingSecret 或 secrets.redisUrl;试用可设 valkey.enabled=true / no Redis: set existingSecret or secrets.redisUrl; for a trial valkey.enabled=true" -}}
{{- end -}}
{{- end -}}
{{- if and .Values.postgresql.enabled $s.databaseUrl -}}
{{- fail "postgresql.enabled 与 secrets.databaseUrl 只能二选一 / give postgresql.enabled or secrets.databaseUrl, not both" -}}
{{- end -}}
{{- if and .Values.valkey.enabled $s.redisUrl -}}
{{- fail "valkey.enabled 与 secrets.redisUrl 只能二选一 / give valkey.enabled or secrets.redisUrl, not both" -}}
{{- end -}}
{{- if and .Values.postgresql.enabled (eq .Values.migrate.mode "hook") -}}
{{- fail "内置数据库在安装前还不存在,migrate.mode 不能为 hook / a database of the chart does not exist before the install: migrate.mode cannot be hook" -}}
{{- end -}}
{{- if and .Values.keda.enabled .Values.worker.autoscaling.enabled -}}
{{- fail "keda.enabled 与 worker.autoscaling.enabled 只能二选一 / give keda.enabled or worker.autoscaling.enabled, not both" -}}
{{- end -}}
{{- if and .Values.keda.enabled (not .Values.keda.prometheusUrl) -}}
{{- fail "请设置 keda.prometheusUrl / set keda.prometheusUrl" -}}
{{- end -}}
{{- if gt (int .Values.keda.minReplicas) (int .Values.keda.maxReplicas) -}}
{{- fail "keda.minReplicas 不能大于 maxReplicas / keda.minReplicas cannot exceed maxReplicas" -}}
{{- end -}}
{{- range $role := list "api" "worker" -}}
{{- $scale := (index $.Values $role).autoscaling -}}
{{- if gt (int $scale.minReplicas) (int $scale.maxReplicas) -}}
{{- fail (printf "%s.autoscaling.minReplicas 不能大于 maxReplicas / %s.autoscaling.minReplicas cannot exceed maxReplicas" $role $role) -}}
{{- end -}}
{{- end -}}
{{- if and .Values.ingress.enabled (not .Values.ingress.host) -}}
{{- fail "请设置 ingress.host / set ingress.host" -}}
{{- end -}}
{{- end -}}

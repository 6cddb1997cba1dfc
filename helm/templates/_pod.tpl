{{- define "shuniu.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "shuniu.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities:
  drop: [ALL]
{{- end -}}

{{- define "shuniu.mounts" -}}
- {name: data, mountPath: /var/lib/shuniu}
- {name: tmp, mountPath: /tmp}
{{- end -}}

{{- define "shuniu.volumes" -}}
- name: data
  emptyDir: {sizeLimit: 256Mi}
- name: tmp
  emptyDir: {sizeLimit: 256Mi}
{{- end -}}

{{/* Environment of every process. Call with dict: root, secret (name of the secret to read). */}}
{{- define "shuniu.env" -}}
{{- $v := .root.Values -}}
{{- $keys := dict "databaseUrl" "database-url" "redisUrl" "redis-url" "secretKey" "secret-key" "postgresPassword" "postgres-password" -}}
{{- if $v.existingSecret -}}{{- $keys = $v.existingSecretKeys -}}{{- end -}}
- {name: SHUNIU_DATA_DIR, value: /var/lib/shuniu}
- {name: SHUNIU_HOST, value: "0.0.0.0"}
- {name: SHUNIU_PORT, value: {{ $v.api.port | quote }}}
- {name: SHUNIU_LOG_LEVEL, value: {{ $v.logLevel | quote }}}
- {name: SHUNIU_LOG_FORMAT, value: json}
- {name: SHUNIU_MAX_BODY, value: {{ $v.maxBody | quote }}}
{{- if $v.publicUrl }}
- {name: SHUNIU_PUBLIC_URL, value: {{ $v.publicUrl | quote }}}
{{- else if $v.ingress.enabled }}
- {name: SHUNIU_PUBLIC_URL, value: {{ printf "%s://%s" (ternary "https" "http" (ne $v.ingress.tlsSecret "")) $v.ingress.host | quote }}}
{{- end }}
- name: SHUNIU_SECRET_KEY
  valueFrom: {secretKeyRef: {name: {{ .secret }}, key: {{ $keys.secretKey }}}}
{{- if $v.postgresql.enabled }}
- name: POSTGRES_PASSWORD
  valueFrom: {secretKeyRef: {name: {{ .secret }}, key: {{ $keys.postgresPassword }}}}
- name: SHUNIU_DATABASE_URL
  value: postgresql://shuniu:$(POSTGRES_PASSWORD)@{{ include "shuniu.fullname" .root }}-postgresql:5432/shuniu
{{- else }}
- name: SHUNIU_DATABASE_URL
  valueFrom: {secretKeyRef: {name: {{ .secret }}, key: {{ $keys.databaseUrl }}}}
{{- end }}
- name: SHUNIU_REDIS_URL
{{- if $v.valkey.enabled }}
  value: redis://{{ include "shuniu.fullname" .root }}-valkey:6379/0
{{- else }}
  valueFrom: {secretKeyRef: {name: {{ .secret }}, key: {{ $keys.redisUrl }}}}
{{- end }}
{{- with $v.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* One Deployment. Call with dict: root, role (api, worker, poller). */}}
{{- define "shuniu.deployment" -}}
{{- $root := .root -}}
{{- $role := .role -}}
{{- $own := index $root.Values $role -}}
{{- $scaled := false -}}
{{- if ne $role "poller" -}}{{- $scaled = $own.autoscaling.enabled -}}{{- end -}}
{{- if and (eq $role "worker") $root.Values.keda.enabled -}}{{- $scaled = true -}}{{- end -}}
{{- $secret := include "shuniu.secret" $root -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ include "shuniu.fullname" $root }}-{{ $role }}
  namespace: {{ $root.Release.Namespace }}
  labels:
    {{- include "shuniu.labels" $root | nindent 4 }}
    app.kubernetes.io/component: {{ $role }}
spec:
  {{- if not $scaled }}
  replicas: {{ $own.replicas }}
  {{- end }}
  revisionHistoryLimit: 5
  strategy:
    type: RollingUpdate
    rollingUpdate: {maxSurge: 1, maxUnavailable: 0}
  selector:
    matchLabels:
      {{- include "shuniu.selector" $root | nindent 6 }}
      app.kubernetes.io/component: {{ $role }}
  template:
    metadata:
      labels:
        {{- with $own.podLabels }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
        {{- include "shuniu.labels" $root | nindent 8 }}
        app.kubernetes.io/component: {{ $role }}
        {{- if ne $role "api" }}
        shuniu.io/metrics: "true"
        {{- end }}
      annotations:
        {{- if not $root.Values.existingSecret }}
        checksum/secret: {{ $root.Values.secrets | toJson | sha256sum }}
        {{- end }}
        kubectl.kubernetes.io/default-container: {{ $role }}
        {{- with $own.podAnnotations }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
    spec:
      serviceAccountName: {{ include "shuniu.serviceAccount" $root }}
      automountServiceAccountToken: false
      # A service called "shuniu" would otherwise set SHUNIU_PORT to tcp://…
      enableServiceLinks: false
      terminationGracePeriodSeconds: {{ $own.terminationGracePeriodSeconds }}
      {{- with $own.priorityClassName }}
      priorityClassName: {{ . }}
      {{- end }}
      {{- with $root.Values.imagePullSecrets }}
      imagePullSecrets:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      securityContext:
        {{- include "shuniu.podSecurity" $root | nindent 8 }}
      {{- if eq (include "shuniu.migrateMode" $root) "init" }}
      initContainers:
        - name: migrate
          image: {{ include "shuniu.image" $root | quote }}
          imagePullPolicy: {{ $root.Values.image.pullPolicy }}
          args: [migrate]
          env:
            {{- include "shuniu.env" (dict "root" $root "secret" $secret) | nindent 12 }}
          securityContext:
            {{- include "shuniu.containerSecurity" $root | nindent 12 }}
          resources:
            {{- toYaml $root.Values.migrate.resources | nindent 12 }}
          volumeMounts:
            {{- include "shuniu.mounts" $root | nindent 12 }}
      {{- end }}
      containers:
        - name: {{ $role }}
          image: {{ include "shuniu.image" $root | quote }}
          imagePullPolicy: {{ $root.Values.image.pullPolicy }}
          args: [serve, --role, {{ $role }}]
          env:
            {{- include "shuniu.env" (dict "root" $root "secret" $secret) | nindent 12 }}
            {{- if ne $role "api" }}
            - {name: SHUNIU_METRICS_PORT, value: {{ $root.Values.metrics.port | quote }}}
            {{- end }}
          {{- with $root.Values.extraEnvFrom }}
          envFrom:
            {{- toYaml . | nindent 12 }}
          {{- end }}
          ports:
            {{- if eq $role "api" }}
            - {name: http, containerPort: {{ $own.port }}, protocol: TCP}
            {{- else }}
            - {name: metrics, containerPort: {{ $root.Values.metrics.port }}, protocol: TCP}
            {{- end }}
          {{- $port := ternary "http" "metrics" (eq $role "api") }}
          startupProbe:
            httpGet: {path: /livez, port: {{ $port }}}
            periodSeconds: 2
            timeoutSeconds: 3
            failureThreshold: 60
          livenessProbe:
            httpGet: {path: /livez, port: {{ $port }}}
            periodSeconds: 10
            timeoutSeconds: 5
            failureThreshold: 6
          readinessProbe:
            httpGet: {path: /readyz, port: {{ $port }}}
            periodSeconds: 5
            timeoutSeconds: 3
            failureThreshold: 3
          {{- if eq $role "api" }}
          lifecycle:
            # Endpoints are told before the socket closes, so that no hook meets a closed door.
            preStop: {exec: {command: [sleep, "5"]}}
          {{- end }}
          securityContext:
            {{- include "shuniu.containerSecurity" $root | nindent 12 }}
          resources:
            {{- toYaml $own.resources | nindent 12 }}
          volumeMounts:
            {{- include "shuniu.mounts" $root | nindent 12 }}
      volumes:
        {{- include "shuniu.volumes" $root | nindent 8 }}
      topologySpreadConstraints:
        - maxSkew: 1
          topologyKey: kubernetes.io/hostname
          whenUnsatisfiable: ScheduleAnyway
          labelSelector:
            matchLabels:
              {{- include "shuniu.selector" $root | nindent 14 }}
              app.kubernetes.io/component: {{ $role }}
      {{- with $own.nodeSelector }}
      nodeSelector:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $own.tolerations }}
      tolerations:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $own.affinity }}
      affinity:
        {{- toYaml . | nindent 8 }}
      {{- end }}
{{- end -}}
